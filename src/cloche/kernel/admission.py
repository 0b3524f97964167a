"""A step waits for its share of the machine, tells so, holds it while it runs, and gives it back."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cloche.kernel.budget import Claim, Turn
from cloche.kernel.ends import in_thread
from cloche.kernel.errors import BudgetTaken
from cloche.kernel.gate import ceilings
from cloche.kernel.queue import Place
from cloche.kernel.session import Session
from cloche.model.event import Holder, Note, Waiting
from cloche.model.grant import Grant
from cloche.model.limits import size_in_words

# The first in the queue asks often, those behind seldom: a hundred that wait cost next to nothing.
_QUICKEST, _SLOWEST = 0.05, 1.0


@asynccontextmanager
async def admitted(grant: Grant, session: Session) -> AsyncIterator[bool]:
    """Hold the share that `grant` may come to use until the block ends; yields whether it had to wait.

    Raises BudgetTaken when the run's `wait_seconds` are over, and QueueUnavailable.
    """
    ceiling = ceilings(grant.step, session.context, session.policy).memory_bytes
    if ceiling > grant.limits.memory_bytes:
        session.emit(Note(text=_lowered(grant, ceiling)))
    claim = Claim(
        job=session.job,
        step=session.labelled(grant.step.id),
        project=str(session.context.project_root),
        memory_bytes=grant.limits.memory_bytes,
        pid=os.getpid(),
    )
    place = Place(session.machine.queue, claim)
    try:
        yield await _wait_turn(place, grant, session)
    finally:
        place.leave()


def _lowered(grant: Grant, ceiling: int) -> str:
    return (
        f"{grant.step.title} gets {size_in_words(grant.limits.memory_bytes)} of memory, all that may "
        f"be used at once on this machine (budget.memory), in place of {size_in_words(ceiling)}"
    )


async def _wait_turn(place: Place, grant: Grant, session: Session) -> bool:
    began = time.monotonic()
    patience = session.options.wait_seconds
    told: Waiting | None = None
    while True:
        turn = await in_thread(place.ask)
        if turn is not None and turn.admitted:
            return told is not None
        pause = _QUICKEST
        if turn is not None:
            event = _waiting(grant, turn, session.machine.queue.budget.memory_bytes)
            if event != told:
                session.emit(event)
            told = event
            # Another part of this run will give its share back: that is no wait for others.
            is_own = any(_run_of(held.claim.job) == _run_of(session.job) for held in turn.holders)
            began = time.monotonic() if is_own else began
            waited = time.monotonic() - began
            if patience is not None and waited >= patience and not is_own:
                raise BudgetTaken(grant.step.id, patience, turn.position, _holders_in_words(turn))
            left = None if patience is None or is_own else patience - waited
            pause = pause_of(turn.position, left)
        await asyncio.sleep(pause)


def _run_of(job: str) -> str:
    """Give the run of a name in the queue, which may be that of one part. Pure."""
    return job.partition("/")[0]


def pause_of(position: int, left: float | None) -> float:
    """Give the seconds until the next look, of who is at `position` and may wait `left` more. Pure."""
    pause = min(_QUICKEST * position, _SLOWEST)
    return pause if left is None else min(pause, left)


def _waiting(grant: Grant, turn: Turn, budget_bytes: int) -> Waiting:
    return Waiting(
        step=grant.step.id,
        position=turn.position,
        reason=turn.reason,
        wanted_bytes=grant.limits.memory_bytes,
        free_bytes=turn.free_bytes,
        budget_bytes=budget_bytes,
        holders=tuple(
            Holder(
                job=ticket.claim.job,
                step=ticket.claim.step,
                project=ticket.claim.project,
                pid=ticket.claim.pid,
                memory_bytes=ticket.claim.memory_bytes,
            )
            for ticket in turn.holders
        ),
    )


def _holders_in_words(turn: Turn) -> tuple[str, ...]:
    return tuple(
        f"{each.step} of {each.project} holds {size_in_words(each.memory_bytes)} (process {each.pid})"
        for each in (ticket.claim for ticket in turn.holders)
    )
