"""The story on one page: how a step goes from a provider's wish to an outcome.

    plan --check_plan--> steps --gate--> Grant --plan_sandbox--> SandboxPlan
         --Platform.spawn--> process --events--> stream --take_outputs--> transaction

Each numbered line may refuse; none may be skipped. Nothing reaches the user's
project here: that is the commit's work, in `lifecycle`, when all steps are done.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cloche.egress.egress import Egress
from cloche.kernel.ends import in_thread, to_its_end
from cloche.kernel.errors import LimitBreached, NetworkWanted, StepDenied, StepFailed
from cloche.kernel.gate import gate
from cloche.kernel.invariants import check_plan
from cloche.kernel.lines import LineReader
from cloche.kernel.outputs import take_outputs
from cloche.kernel.places import Grounds, Places, find_places
from cloche.kernel.quota import watch_disk
from cloche.kernel.session import Session
from cloche.kernel.surroundings import hosts_of, survey, user_files
from cloche.model.diagnostic import NO_NETWORK
from cloche.model.event import (
    Confined,
    Denied,
    Note,
    Output,
    StepFinished,
    StepStarted,
    UsageMeasured,
)
from cloche.model.grant import Grant
from cloche.model.step import Plan, Step
from cloche.sandbox.planner import plan_sandbox
from cloche.sandbox.platform import Exit, SandboxedProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A step whose program runs behind its barriers."""

    step: Step
    grant: Grant
    places: Places
    process: SandboxedProcess
    egress: Egress


async def run_plan(plan: Plan, session: Session, *, by_person: bool = False) -> None:
    """Run the steps of `plan` in order. Raises what the first step that must not fail raised."""
    check_plan(plan, by_person=by_person)
    stand_ins = {step.fallback for step in plan.steps if step.fallback}
    for note in plan.notes:
        session.emit(Note(text=note))
    for step in plan.steps:
        if step.id in stand_ins:
            continue
        chosen: Step | None = step
        while chosen is not None:
            chosen = await _run_or_replace(chosen, plan, session, by_person=by_person)


async def _run_or_replace(
    step: Step, plan: Plan, session: Session, *, by_person: bool
) -> Step | None:
    """Run `step`; give the step that stands for it when it failed and has one that may help."""
    try:
        await run_step(step, plan, session, by_person=by_person)
    except StepFailed as failure:
        if _may_fall_back(step, failure.codes):
            replacement = next(s for s in plan.steps if s.id == step.fallback)
            session.emit(Note(text=f"{step.title} failed; trying: {replacement.title}"))
            return replacement
        if not step.optional:
            raise
    return None


async def run_step(step: Step, plan: Plan, session: Session, *, by_person: bool = False) -> Exit:
    """Take one step to its end. Raises StepDenied, CannotConfine, LimitBreached, StepFailed, OutputRefused."""
    async with start_step(step, plan, session, by_person=by_person) as running:
        ended, codes = await _follow(running, session)
    # (6) What it leaves is looked at only when nothing of it runs any more.
    outcome, why = _judge(step, ended, codes)
    if outcome == "ok":
        await in_thread(take_outputs, step, running.places, session)
    session.emit(StepFinished(step=step.id, outcome=outcome, exit_status=ended.status, why=why))
    if outcome == "limit":
        ceiling = getattr(running.grant.limits, ended.limit, 0)
        raise LimitBreached(step.id, ended.limit, ceiling, ended.detail)
    if outcome != "ok":
        raise _failure(step, ended, codes, session)
    return ended


def _failure(step: Step, ended: Exit, codes: frozenset[str], session: Session) -> StepFailed:
    failure = StepFailed(step.id, step.title, ended.status, codes)
    wanted = tuple(
        denied.tried
        for denied in session.denials
        if denied.step == step.id and denied.rule.startswith("network.")
    )
    # Many tools ask the network and go on without: what else was found is then the reason.
    is_reason = step.net is Net.NONE and (not codes or NO_NETWORK in codes)
    return NetworkWanted(failure, wanted) if wanted and is_reason else failure


@asynccontextmanager
async def start_step(
    step: Step, plan: Plan, session: Session, *, by_person: bool = False
) -> AsyncIterator[Running]:
    """Put the barriers up around `step` and start it; whatever happens, nothing of it is left after."""
    session.steps_run += 1
    session.emit(
        StepStarted(step=step.id, title=step.title, argv=step.argv, expected=step.expected)
    )
    grant = _granted(  # (1) policy and capability agree, every reason kept
        step, session, by_person=by_person
    )
    places = await in_thread(  # (2) real places for what the step refers to
        find_places,
        step,
        plan,
        Grounds(
            transaction=session.transaction,
            caches=session.machine.caches,
            user_config=user_files(step, session),
            package=session.package,
        ),
        number=session.steps_run,
    )
    sandbox = plan_sandbox(
        grant, survey(step, places, session)
    )  # (3) every REQUIRED barrier is there
    process = await session.machine.platform.spawn(
        sandbox
    )  # (4) they stand, or nothing was started
    egress = Egress(  # (5) the only way out, in our hands
        step=step.id,
        sockets=process.sockets,
        rules=grant.hosts,
        max_bytes=grant.limits.network_bytes,
        emit=session.note,
        upstream=session.registry.upstream if session.registry else None,
    )
    try:
        session.containment[step.id] = process.report.rows()
        session.emit(Confined(step=step.id, barriers=process.report.rows()))
        await egress.start()
        yield Running(step=step, grant=grant, places=places, process=process, egress=egress)
    finally:
        # A cancelled run must still leave no process, socket or mount behind.
        await to_its_end(_end(step, process, egress, session))


def _granted(step: Step, session: Session, *, by_person: bool) -> Grant:
    try:
        return gate(
            step,
            session.context,
            session.policy,
            hosts=hosts_of(step, session),
            names=session.readable(),
            now=session.machine.now(),
            by_person=by_person,
        )
    except StepDenied as denial:
        for refusal in denial.refusals:
            session.note(
                Denied(
                    step=step.id, rule=refusal.reason, tried=refusal.tried, remedy=refusal.change
                )
            )
        raise


async def _end(step: Step, process: SandboxedProcess, egress: Egress, session: Session) -> None:
    usage = process.usage()
    await process.close()
    tally = await egress.close()
    session.emit(
        UsageMeasured(
            step=step.id,
            wall_seconds=usage.wall_seconds,
            cpu_seconds=usage.cpu_seconds,
            memory_peak_bytes=usage.memory_peak_bytes,
            processes_peak=usage.processes_peak,
            network_bytes=tally.total_bytes,
        )
    )


async def _follow(running: Running, session: Session) -> tuple[Exit, frozenset[str]]:
    """Pass on what the program prints, hold its disk limit, wait for its end; with the codes found."""
    process, step = running.process, running.step
    parser = session.provider.parser(step.parser) if step.parser else None
    reader = LineReader(step.id, parser, step.expected, session.emit)
    async with watch_disk(session.transaction, running.grant.limits, process) as quota:
        feeding = asyncio.create_task(_feed(process, session))
        try:
            while (chunk := await process.read_output()) is not None:
                stream, data = chunk
                session.emit(Output(step=step.id, stream=stream, data=data))
                reader.feed(stream, data)
            ended = await process.wait_exited()
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding
    reader.end(ended.status)
    if quota.breached:
        ended = Exit(status=ended.status, limit=quota.breached, detail=quota.detail)
    if ended.limit:
        session.note(
            Denied(
                step=step.id,
                rule=f"limits.{ended.limit}",
                tried=f"exceed {ended.limit} = {getattr(running.grant.limits, ended.limit, 0):.15g}",
                remedy=f"raise limits.{ended.limit} in the policy if the work is honest",
            )
        )
    return ended, frozenset(reader.codes)


async def _feed(process: SandboxedProcess, session: Session) -> None:
    source = session.options.stdin
    if source is None:
        return
    while data := await _in_own_thread(source):
        await process.write_input(data)
    await process.write_input(b"")


async def _in_own_thread(source: Callable[[], bytes]) -> bytes:
    """Read in a thread that nobody waits for: one of the pool's would hold up the exit until input comes."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    def settle(data: bytes, failure: Exception | None) -> None:
        if answer.done():
            return  # the run has ended meanwhile
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(data)

    def read() -> None:
        data, failure = b"", None
        try:
            data = source()
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, data, failure)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return await answer


def _may_fall_back(step: Step, codes: frozenset[str]) -> bool:
    return step.fallback is not None and (
        not step.fallback_codes or bool(step.fallback_codes & codes)
    )


def _judge(step: Step, ended: Exit, codes: frozenset[str]) -> tuple[str, str]:
    if ended.limit:
        return "limit", f"{ended.limit}: {ended.detail}"
    if ended.status == 0:
        return "ok", ""
    bearable = step.optional or _may_fall_back(step, codes)
    return ("warned" if bearable else "failed"), ended.detail
