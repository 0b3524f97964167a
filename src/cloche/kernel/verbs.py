"""The verbs as sequences of steps. `ship` is four of them in one transaction."""

from cloche.kernel.conclusion import Body
from cloche.kernel.discovery import know_registry, learn_registry
from cloche.kernel.ends import in_thread
from cloche.kernel.errors import InvariantBroken
from cloche.kernel.packaging import make_package, prove_package
from cloche.kernel.pipeline import run_plan
from cloche.kernel.session import Session
from cloche.kernel.sessions import Act, Sessions, side_by_side
from cloche.kernel.trail import Trail
from cloche.model.event import ArtifactMade
from cloche.model.step import Net

_MOST_ROUNDS = 4

Made = tuple[ArtifactMade, ...]


async def resolve(session: Session, trail: Trail | None = None) -> None:
    """Lock, fetch, materialise and run install scripts, each in its own kind of step."""
    await know_registry(session, "resolve")
    for _ in range(_MOST_ROUNDS):
        plan = session.provider.resolve_dependencies(session.view(), session.facts())
        if session.registry is None and any(step.net is Net.REGISTRY for step in plan.steps):
            session.registry = await learn_registry(session)
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
    made = await in_thread(make_package, plan, session)
    session.emit(made)
    return made


async def check(session: Session) -> None:
    """Check the sources, as their own tools do."""
    await know_registry(session, "validate")
    await run_plan(session.provider.validate(session.view(), session.facts()), session)


async def prove(session: Session) -> None:
    """Check the package: every digest, and that what it serves answers."""
    await prove_package(session.provider.package(session.view(), session.facts()), session)


async def validate(sessions: Sessions) -> Made:
    """Check the sources of all parts, then all packages: no code that could change one runs any more."""
    await side_by_side(check, sessions.parts)
    await side_by_side(prove, sessions.parts)
    return ()


def of_each(act: Act[ArtifactMade | None]) -> Body:
    """Give the verb that does `act` for every part at once."""

    async def body(sessions: Sessions) -> Made:
        made = await side_by_side(act, sessions.parts)
        return tuple(each for each in made if each is not None)

    return body


async def ship(sessions: Sessions) -> Made:
    """Resolve, build, package, validate: one transaction, all or nothing.

    After one that failed, the steps up to `package` that it did and that would do the same do not run:
    of one part. A layer of several would be that of none.
    """
    trail = None if sessions.is_several else Trail(sessions.parts[0])
    await side_by_side(lambda session: resolve(session, trail), sessions.parts)
    await side_by_side(lambda session: build(session, trail), sessions.parts)
    made = await side_by_side(package, sessions.parts)
    await validate(sessions)
    return made
