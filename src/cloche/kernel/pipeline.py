"""The story on one page: how a step goes from a provider's wish to an outcome.

    plan --check_plan--> steps --gate--> Grant --admitted--> plan_sandbox --> SandboxPlan
         --Platform.spawn--> process --events--> stream --take_outputs--> transaction

Each numbered line may refuse; none may be skipped. Nothing reaches the user's
project here: that is the commit's work, in `lifecycle`, when all steps are done.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cloche.egress.egress import Egress
from cloche.kernel.admission import admitted
from cloche.kernel.ends import in_thread, to_its_end
from cloche.kernel.errors import LimitBreached, StepDenied, StepFailed
from cloche.kernel.following import Running, follow
from cloche.kernel.gate import gate
from cloche.kernel.invariants import check_plan
from cloche.kernel.outcome import failure_of, judge, may_fall_back
from cloche.kernel.outputs import take_outputs
from cloche.kernel.places import Grounds, Places, find_places
from cloche.kernel.receipts import receipt_of
from cloche.kernel.session import Session
from cloche.kernel.surroundings import hosts_of, survey, user_files
from cloche.kernel.trail import Trail, legs
from cloche.model.event import (
    Confined,
    Denied,
    Note,
    StepFinished,
    StepStarted,
    UsageMeasured,
)
from cloche.model.grant import Grant
from cloche.model.step import Plan, Step
from cloche.sandbox.planner import plan_sandbox
from cloche.sandbox.platform import Exit, SandboxedProcess
from cloche.workspace.usage import measure_place


async def run_plan(
    plan: Plan, session: Session, *, by_person: bool = False, trail: Trail | None = None
) -> None:
    """Run the steps of `plan` in order. Raises what the first step that must not fail raised.

    With a `trail`, steps that an earlier run did are not run again, and the others are left for a
    later one, up to the first that failed.
    """
    check_plan(plan, by_person=by_person)
    for note in plan.notes:
        session.emit(Note(text=note))
    for leg in legs(plan):
        if trail is not None and await _is_done(leg, plan, session, trail):
            continue
        done = []
        for step in leg:
            chosen: Step | None = step
            while chosen is not None:
                done.append(chosen)
                chosen = await _run_or_replace(chosen, plan, session, trail, by_person=by_person)
        if trail is not None:
            await trail.seal(done)


async def _is_done(leg: tuple[Step, ...], plan: Plan, session: Session, trail: Trail) -> bool:
    done = await trail.find_done(leg, plan)
    for step in done:
        _granted(step, session, by_person=False)  # what may not run now does not count as run
    return bool(done)


async def _run_or_replace(
    step: Step, plan: Plan, session: Session, trail: Trail | None, *, by_person: bool
) -> Step | None:
    """Run `step`; give the step that stands for it when it failed and has one that may help."""
    try:
        await run_step(step, plan, session, by_person=by_person)
    except StepFailed as failure:
        if trail is not None and not step.fallback_codes & failure.codes:
            # Another time it may do: a registry was away, say. Nothing in its key tells.
            trail.stop()
        if may_fall_back(step, failure.codes):
            replacement = next(s for s in plan.steps if s.id == step.fallback)
            session.emit(Note(text=f"{step.title} failed; trying: {replacement.title}"))
            return replacement
        if not step.optional:
            raise
    return None


async def run_step(step: Step, plan: Plan, session: Session, *, by_person: bool = False) -> Exit:
    """Take one step to its end.

    Raises StepDenied, BudgetTaken, CannotConfine, LimitBreached, StepFailed, OutputRefused.
    """
    async with start_step(step, plan, session, by_person=by_person) as running:
        ended, codes = await follow(running, session)
    # (7) What it leaves is looked at only when nothing of it runs any more.
    for replica in running.places.replicas:
        await in_thread(replica.fold)
        await in_thread(replica.remove)
    outcome, why = judge(step, ended, codes)
    if outcome == "ok":
        await in_thread(take_outputs, step, running.places, session)
    session.emit(StepFinished(step=step.id, outcome=outcome, exit_status=ended.status, why=why))
    if outcome == "limit":
        ceiling = getattr(running.grant.limits, ended.limit, 0)
        raise LimitBreached(step.id, ended.limit, ceiling, ended.detail)
    if outcome != "ok":
        raise failure_of(step, ended, codes, session.denials)
    return ended


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
    async with admitted(grant, session) as has_waited:  # (2) its share of the machine is free
        if has_waited:
            # What was true before, such as which files are hidden, may not be true any more.
            grant = _granted(step, session, by_person=by_person)
        async with _confined(grant, plan, session) as running:
            yield running


@asynccontextmanager
async def _confined(grant: Grant, plan: Plan, session: Session) -> AsyncIterator[Running]:
    step = grant.step
    places = await in_thread(  # (3) real places for what the step refers to
        find_places,
        step,
        plan,
        Grounds(
            transaction=session.transaction,
            caches=session.machine.caches,
            user_config=user_files(step, session),
            package=session.package,
            copies=session.machine.features.copies,
            hidden=grant.hidden,
        ),
        number=session.steps_run,
    )
    held = await in_thread(_held, places, session)
    sandbox = plan_sandbox(
        grant, survey(step, places, session)
    )  # (4) every REQUIRED barrier is there
    process = await session.machine.platform.spawn(
        sandbox
    )  # (5) they stand, or nothing was started
    egress = Egress(  # (6) the only way out, in our hands
        step=step.id,
        sockets=process.sockets,
        rules=grant.hosts,
        max_bytes=grant.limits.network_bytes,
        emit=session.note,
        on_exhausted=process.kill,
        upstream=session.registry.upstream if session.registry else None,
    )
    try:
        rows, trials = process.report.rows(), process.report.trials
        session.containment[step.id], session.trials[step.id] = rows, trials
        session.emit(Confined(step=step.id, barriers=rows, trials=trials))
        await egress.start()
        yield Running(
            step=step, grant=grant, places=places, process=process, egress=egress, held=held
        )
    finally:
        # A cancelled run must still leave no process, socket or mount behind.
        await to_its_end(_end(grant, process, egress, session))


def _held(places: Places, session: Session) -> tuple[int, int]:
    """Give the bytes and files that are no doing of the step.

    Where other parts write to the same disk it is measured for what they do, and then all must be known.
    """
    if not session.part:
        return places.held()
    sizes = [session.transaction.usage(), *map(measure_place, places.kept)]
    return sum(used for used, _ in sizes), sum(entries for _, entries in sizes)


def _granted(step: Step, session: Session, *, by_person: bool) -> Grant:
    try:
        return gate(
            step,
            session.context,
            session.policy,
            hosts=hosts_of(step, session),
            hidden=session.hidden(),
            now=session.machine.now(),
            budget_bytes=session.machine.queue.budget.memory_bytes,
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


async def _end(grant: Grant, process: SandboxedProcess, egress: Egress, session: Session) -> None:
    usage = process.usage()
    await process.close()
    tally = await egress.close()
    measured = UsageMeasured(
        step=grant.step.id,
        wall_seconds=usage.wall_seconds,
        cpu_seconds=usage.cpu_seconds,
        memory_peak_bytes=usage.memory_peak_bytes,
        processes_peak=usage.processes_peak,
        network_bytes=tally.total_bytes,
    )
    session.receipts.append(receipt_of(grant, process.report, measured, session.machine.now()))
    session.emit(measured)
