"""The verbs as sequences of steps. `ship` is four of them in one transaction."""

from collections.abc import Awaitable, Callable

from cloche.kernel.discovery import know_registry
from cloche.kernel.ends import in_thread
from cloche.kernel.errors import InvariantBroken
from cloche.kernel.packaging import make_package, prove_package
from cloche.kernel.pipeline import run_plan
from cloche.kernel.session import Session
from cloche.kernel.trail import Trail
from cloche.model.event import ArtifactMade

_MOST_ROUNDS = 4

Verb = Callable[[Session], Awaitable[ArtifactMade | None]]


async def resolve(session: Session, trail: Trail | None = None) -> None:
    """Lock, fetch, materialise and run install scripts, each in its own kind of step."""
    await know_registry(session, "resolve")
    for _ in range(_MOST_ROUNDS):
        plan = session.provider.resolve_dependencies(session.view(), session.facts())
        await run_plan(plan, session, trail=trail)
        if not plan.again:
            return
    raise InvariantBroken("resolve", "I6", f"the plan wants more than {_MOST_ROUNDS} rounds")


async def build(session: Session, trail: Trail | None = None) -> None:
    """Build what is resolved; project code, no network."""
    await know_registry(session, "build")
    await run_plan(session.provider.build(session.view(), session.facts()), session, trail=trail)


async def test(session: Session) -> None:
    """Run the project's own tests; project code, no network."""
    await know_registry(session, "test")
    await run_plan(session.provider.test(session.view(), session.facts()), session)


async def package(session: Session) -> ArtifactMade:
    """Write the package into the transaction."""
    await know_registry(session, "package")
    plan = session.provider.package(session.view(), session.facts())
    await run_plan(plan, session)
    if plan.again:  # what its steps made decides what goes in
        plan = session.provider.package(session.view(), session.facts())
    return await in_thread(make_package, plan, session)


async def validate(session: Session) -> None:
    """Check the sources, then the package: every digest, and that what it serves answers."""
    await know_registry(session, "validate")
    await run_plan(session.provider.validate(session.view(), session.facts()), session)
    plan = session.provider.package(session.view(), session.facts())
    await prove_package(plan, session)


async def ship(session: Session) -> ArtifactMade:
    """Resolve, build, package, validate: one transaction, all or nothing.

    After one that failed, the steps up to `package` that it did and that would do the same do not run.
    """
    trail = Trail(session)
    await resolve(session, trail)
    await build(session, trail)
    made = await package(session)
    await validate(session)
    return made
