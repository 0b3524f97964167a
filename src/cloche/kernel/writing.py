"""A run waits for the project: one writer at a time, in the order of arrival."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from cloche.kernel.admission import pause_of
from cloche.kernel.context import RunOptions
from cloche.kernel.ends import in_thread
from cloche.model.event import Event, Holder, Waiting
from cloche.workspace.errors import WorkspaceBusy
from cloche.workspace.line import WriterTurn
from cloche.workspace.workspace import Workspace


async def wait_to_write(
    workspace: Workspace, project: Path, options: RunOptions, emit: Callable[[Event], None]
) -> None:
    """Hold the project's writer lock when this returns; closing the workspace gives it back.

    Raises WorkspaceBusy when `wait_seconds` are over.
    """
    began, patience = time.monotonic(), options.wait_seconds
    told: WriterTurn | None = None
    while (turn := await in_thread(workspace.ask_to_write)) is not None:
        waited = time.monotonic() - began
        if patience is not None and waited >= patience:
            raise WorkspaceBusy(str(project), turn.pid)
        if turn != told:
            emit(_waiting(turn, str(project)))
        told = turn
        left = None if patience is None else patience - waited
        await asyncio.sleep(pause_of(turn.position, left))


def _waiting(turn: WriterTurn, project: str) -> Waiting:
    holder = Holder(job="", step="", project=project, pid=turn.pid, memory_bytes=0)
    return Waiting(
        step="",
        position=turn.position,
        reason="project",
        wanted_bytes=0,
        free_bytes=0,
        budget_bytes=0,
        holders=(holder,),
    )
