"""A development server in the jar that sees the user's edits as they are saved; or a program, as in a terminal."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import replace

from watchfiles import DefaultFilter, awatch

from cloche.capability.constraint import least
from cloche.kernel.discovery import know_registry
from cloche.kernel.errors import InvariantBroken, NotReady
from cloche.kernel.invariants import check_plan
from cloche.kernel.pipeline import run_plan
from cloche.kernel.service import Service, serve
from cloche.kernel.session import Session
from cloche.kernel.sessions import Sessions, all_at_once
from cloche.model.event import ArtifactMade, Note, PreviewOpened
from cloche.model.step import Plan
from cloche.runtimes.provider import CannotPlan
from cloche.sandbox.platform import SandboxedProcess

_LARGEST_EDIT = 16 << 20
# Made by tools, not by hands; the server has its own of each.
_NOT_EDITS = ("node_modules", ".git", "dist", "build", ".next", "artifacts", "coverage")


async def preview(sessions: Sessions) -> tuple[ArtifactMade, ...]:
    """Show every part that can be shown, until cancelled, or until a program ends.

    Raises CannotPlan when there is none, NotReady, PortUnavailable, StepFailed.
    """
    plans: dict[str, Plan] = {}
    refusals: list[CannotPlan] = []
    for session in sessions.parts:
        await know_registry(session, "preview")
        try:
            plans[session.part] = session.provider.preview(session.view(), session.facts())
        except CannotPlan as refusal:
            refusals.append(refusal)
            if sessions.is_several:
                session.emit(Note(text=f"it has no preview: {refusal}"))
    shown = tuple(session for session in sessions.parts if session.part in plans)
    if not shown:
        raise refusals[0]
    first = shown[0]
    for session in shown if len(shown) > 1 else ():
        # All are held as long as the run is, so none may wait for another: each gets its share.
        share = session.machine.queue.budget.memory_bytes // len(shown)
        least_of = least(session.context.max_memory_bytes, share)
        session.context = replace(session.context, max_memory_bytes=least_of)
        # What a person types is for one program.
        session.options = replace(session.options, stdin=None)
        session.job = sessions.whole.job

    async def one(session: Session) -> None:
        port = session.options.port if session is first else 0
        await _show(plans[session.part], session, port)

    await all_at_once(one, shown)
    return ()


async def _show(plan: Plan, session: Session, port: int) -> None:
    """Do what comes first, then serve until cancelled, or be with the program until it ends.

    The last step is the one that is seen: a service when it has a probe, else a program that is
    given what the user types.
    """
    if not plan.steps:
        raise InvariantBroken("preview", "I6", "there is no step to be seen")
    check_plan(plan)
    *before, seen = plan.steps
    session.get_canary()  # one for both
    # What is typed is for the program alone.
    unheard = replace(session, options=replace(session.options, stdin=None))
    await run_plan(replace(plan, steps=tuple(before)), unheard)
    session.steps_run = unheard.steps_run
    if seen.probe is None:
        session.emit(PreviewOpened(step=seen.id))
        await run_plan(replace(plan, steps=(seen,), notes=()), session)
        return
    async with serve(seen, plan, session, port=port) as service:
        await _mirror_edits(service, session)
    raise NotReady(seen.id, "its program ended")


async def _mirror_edits(service: Service, session: Session) -> None:
    """Carry each saved file into the running sandbox, through the sandbox's own view.

    An overlay keeps showing the old content of a file that an editor replaced,
    and raises no inotify event for changes below it. Writing through the view
    itself does both right, and the project stays a read-only lower layer.
    """
    root = session.transaction.base
    stop = asyncio.Event()
    service.ended.add_done_callback(lambda _: stop.set())
    edits = DefaultFilter(ignore_dirs=(*DefaultFilter.ignore_dirs, *_NOT_EDITS))
    async for changes in awatch(root, watch_filter=edits, stop_event=stop, debounce=50, step=20):
        names = sorted({os.path.relpath(path, root) for _, path in changes})
        await _carry(names, session, service.running.process)


async def _carry(names: Iterable[str], session: Session, process: SandboxedProcess) -> None:
    hidden = session.hides(tuple(names))
    for name in names:
        if name in hidden:
            # The project is below the sandbox's view, so a new secret shows there: an empty file hides it.
            await process.put_file(name, b"")
            continue
        content = await asyncio.to_thread(session.transaction.read_base, name, limit=_LARGEST_EDIT)
        if content is not None or not os.path.lexists(session.transaction.base / name):
            await process.put_file(name, content)
