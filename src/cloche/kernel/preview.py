"""A development server in the jar that sees the user's edits as they are saved."""

import asyncio
import os
from collections.abc import Iterable

from watchfiles import DefaultFilter, awatch

from cloche.kernel.errors import InvariantBroken, NotReady
from cloche.kernel.pipeline import run_plan
from cloche.kernel.service import Service, serve
from cloche.kernel.session import Session
from cloche.sandbox.platform import SandboxedProcess

_LARGEST_EDIT = 16 << 20
# Made by tools, not by hands; the server has its own of each.
_NOT_EDITS = ("node_modules", ".git", "dist", "build", ".next", "artifacts", "coverage")


async def preview(session: Session) -> None:
    """Serve until cancelled, or until the program ends. Raises NotReady, PortUnavailable, StepFailed.

    A step without a probe is a program of the terminal: what it prints is what there is to see, and
    its end is no failure.
    """
    plan = session.provider.preview(session.view(), session.facts())
    if len(plan.steps) != 1:
        raise InvariantBroken("preview", "I6", "a preview is one service step")
    if plan.steps[0].probe is None:
        await run_plan(plan, session)
        return
    async with serve(plan.steps[0], plan, session, port=session.options.port) as service:
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
    hidden = session.policy.hidden(tuple(names))
    for name in names:
        if name in hidden:
            # The project is below the sandbox's view, so a new secret shows there: an empty file hides it.
            await process.put_file(name, b"")
            continue
        content = await asyncio.to_thread(session.transaction.read_base, name, limit=_LARGEST_EDIT)
        if content is not None or not os.path.lexists(session.transaction.base / name):
            await process.put_file(name, content)
