"""Asking the user's own tool what it is configured to use, outside of any project."""

import asyncio
import re
from dataclasses import replace

from cloche.errors import ClocheError
from cloche.kernel.errors import InvariantBroken, NoToolchain, StepFailed
from cloche.kernel.invariants import check_plan
from cloche.kernel.pipeline import start_step
from cloche.kernel.registry import Registry, learn
from cloche.kernel.remembered import remember
from cloche.kernel.session import Session
from cloche.kernel.surroundings import hosts_of
from cloche.model.event import Denied, Event, StepFinished
from cloche.model.step import Net, Plan, Trust
from cloche.runtimes.provider import Answer

_LONGEST = 4 << 20
_MOST_QUESTIONS = 6
# "resolve NAME", "connect NAME:PORT": as egress says what was tried. Longer texts tell of more than
# a name that no rule allows, such as of another name in the TLS handshake.
_ASKED = re.compile(r"(?:resolve|connect) (?P<host>[A-Za-z0-9.-]+(?::\d{1,5})?)\Z")


async def know_registry(session: Session, verb: str) -> None:
    """Learn what planning `verb` takes; a verb that fetches nothing asks nothing that needs a network."""
    if session.registry is not None or session.remembered is not None:
        return
    facts = session.facts()
    if session.provider.asks_registry(verb, session.view(), facts):
        reaches = verb == "resolve" and not facts.offline
        session.registry = await learn_registry(session, reaches=reaches)


async def learn_registry(session: Session, *, reaches: bool = True) -> Registry | None:
    """Run the provider's discovery steps and learn the hosts they name; None when it has none.

    They are tool code over what the kernel wrote, and reach only what was learned before:
    nothing of the project can influence what is learned. A registry's answer can add hosts to those
    that the user's configuration names, but no way into the user's own network; see `learn`.
    Raises StepFailed, CannotPlan.
    """
    session.remembered = None
    for _ in range(_MOST_QUESTIONS):
        plan = session.provider.discovery(session.facts())
        if plan is None:
            await asyncio.to_thread(remember, session)
            return session.registry
        if not reaches and any(step.net is not Net.NONE for step in plan.steps):
            return session.registry
        answer = await _ask(plan, session)
        asked = hosts_of(plan.steps[0], session)
        facts = session.provider.read_discovery(answer, session.facts())
        session.registry = await asyncio.to_thread(
            learn,
            facts,
            session.provider.user_config,
            session.machine.environment,
            name=plan.steps[0].registry or session.provider.runtime_id,
            asked=asked,
        )
    raise InvariantBroken("discover", "I6", f"it wants more than {_MOST_QUESTIONS} answers")


async def _ask(plan: Plan, session: Session) -> Answer:
    check_plan(plan)
    (step,) = plan.steps
    if step.trust is not Trust.TOOL:
        raise InvariantBroken(step.id, "I1", "only tool code is asked for registries")
    printed = {"stdout": bytearray(), "stderr": bytearray()}
    denied: list[Denied] = []

    def emit(event: Event) -> None:
        # What it may not reach yet is the answer, and no refusal to be told.
        if isinstance(event, Denied):
            denied.append(event)
        else:
            session.emit(event)

    session.get_canary()  # one for both
    asking = replace(session, emit=emit, denials=[])
    try:
        async with start_step(step, plan, asking) as running:
            while (chunk := await running.process.read_output()) is not None:
                if len(printed[chunk[0]]) < _LONGEST:
                    printed[chunk[0]] += chunk[1]
            ended = await running.process.wait_exited()
    except ClocheError:
        for event in denied:
            session.note(event)
        raise
    session.steps_run = asking.steps_run
    outcome = "ok" if ended.status == 0 or step.optional else "failed"
    session.emit(StepFinished(step=step.id, outcome=outcome, exit_status=ended.status))
    if outcome != "ok":
        raise StepFailed(step.id, step.title, ended.status)
    asked = [found["host"] for event in denied if (found := _ASKED.match(event.tried))]
    return Answer(
        output=bytes(printed["stdout"]),
        errors=bytes(printed["stderr"]),
        exit_status=ended.status,
        asked=tuple(dict.fromkeys(asked)),
    )


async def allow_registries(session: Session) -> None:
    """Add the hosts of the user's own registries to what this run may reach, since a person asked.

    Raises NoToolchain where the tool that would tell them is not there: a command runs without it else.
    """
    for need in session.provider.toolchains:
        if need.name not in session.machine.toolchains:
            raise NoToolchain(need.name, ".".join(map(str, need.minimum)), "none", need.advice)
    session.registry = session.registry or await learn_registry(session)
    if session.registry is not None:
        hosts = (*session.context.hosts, *session.registry.hosts)
        session.context = replace(session.context, hosts=hosts)
