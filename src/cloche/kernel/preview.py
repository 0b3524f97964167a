"""A development server in the jar that sees the user's edits as they are saved."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import replace

from watchfiles import DefaultFilter, awatch

from cloche.capability.constraint import least
from cloche.kernel.errors import InvariantBroken, NotReady
from cloche.kernel.service import Service, serve
from cloche.kernel.session import Session
from cloche.kernel.sessions import Sessions, all_at_once
from cloche.model.event import ArtifactMade, Note
from cloche.model.step import Plan
from cloche.runtimes.provider import CannotPlan
from cloche.sandbox.platform import SandboxedProcess

_LARGEST_EDIT = 16 << 20
# Made by tools, not by hands; the server has its own of each.
_NOT_EDITS = ("node_modules", ".git", "dist", "build", ".next", "artifacts", "coverage")


async def preview(sessions: Sessions) -> tuple[ArtifactMade, ...]:
    """Serve every part that can be until cancelled, or until a program ends.

    Raises CannotPlan when there is none, NotReady, PortUnavailable.
    """
    plans: dict[str, Plan] = {}
    refusals: list[CannotPlan] = []
    for session in sessions.parts:
        try:
            plans[session.part] = session.provider.preview(session.view(), session.facts())
        except CannotPlan as refusal:
            refusals.append(refusal)
            if sessions.is_several:
                session.emit(Note(text=f"it has no preview: {refusal}"))
    serving = tuple(session for session in sessions.parts if session.part in plans)
    if not serving:
        raise refusals[0]
    first = serving[0]
    for session in serving if len(serving) > 1 else ():
        # All are held as long as the run is, so none may wait for another: each gets its share.
        share = session.machine.queue.budget.memory_bytes // len(serving)
        least_of = least(session.context.max_memory_bytes, share)
        session.context = replace(session.context, max_memory_bytes=least_of)
        session.job = sessions.whole.job

    async def one(session: Session) -> None:
        port = session.options.port if session is first else 0
        await _serve(plans[session.part], session, port)

    await all_at_once(one, serving)
    return ()


async def _serve(plan: Plan, session: Session, port: int) -> None:
    if len(plan.steps) != 1:
        raise InvariantBroken("preview", "I6", "a preview is one service step")
    async with serve(plan.steps[0], plan, session, port=port) as service:
        await _mirror_edits(service, session)
    raise NotReady(plan.steps[0].id, "its program ended")


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
