"""The sessions of one run: one for each part of the project, side by side over one transaction."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cloche.errors import ClocheError
from cloche.kernel.parts import Part
from cloche.kernel.remembered import recall
from cloche.kernel.session import Session, is_below
from cloche.model.event import Denied, Event, Note
from cloche.model.trial import Trial

Result = TypeVar("Result")
Act = Callable[[Session], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Of a run; where the project is one part, that is the whole."""

    whole: Session
    parts: tuple[Session, ...]

    @property
    def is_several(self) -> bool:
        """Tell whether there is more than one part."""
        return len(self.parts) > 1

    def denials(self) -> tuple[Denied, ...]:
        """Give what was refused to any of them, with the ids that the events have."""
        found = list(self.whole.denials)
        for session in self._others():
            found += [
                replace(each, part=session.part, step=session.labelled(each.step))
                for each in session.denials
            ]
        return tuple(found)

    def containment(self) -> dict[str, tuple[tuple[str, str, str], ...]]:
        """Give the rows of the enforcement report of each step."""
        found = dict(self.whole.containment)
        for session in self._others():
            found |= {session.labelled(step): rows for step, rows in session.containment.items()}
        return found

    def trials(self) -> dict[str, tuple[Trial, ...]]:
        """Give what was tried in each step before its program started."""
        found = dict(self.whole.trials)
        for session in self._others():
            found |= {session.labelled(step): made for step, made in session.trials.items()}
        return found

    def _others(self) -> tuple[Session, ...]:
        return tuple(session for session in self.parts if session is not self.whole)


def sessions_of(whole: Session, parts: tuple[Part, ...]) -> Sessions:
    """Give the sessions of a run on `parts`. Raises PathBlocked.

    Blocks, and is to be called before anything runs: directories that parts have in common are made here.
    """
    if len(parts) == 1 and not parts[0].claim.prefix:
        return Sessions(whole=whole, parts=(whole,))
    sessions = tuple(_session(whole, part) for part in parts)
    for session in sessions if len(sessions) > 1 else ():
        _ = (
            session.transaction.upper
        )  # of one alone not yet: what an earlier run left goes below it
    return Sessions(whole=whole, parts=sessions)


def _session(whole: Session, part: Part) -> Session:
    prefix, name = part.claim.prefix, part.name

    def emit(event: Event) -> None:
        whole.emit(event.of_part(name))

    tree = whole.whole.part(prefix) if prefix else whole.whole
    return replace(
        whole,
        machine=part.machine,
        provider=part.claim.provider,
        transaction=tree,
        emit=emit,
        # A name of its own in the queue: it waits for its share as any run does.
        job=f"{whole.job}/{name}",
        part=name,
        remembered=recall(part.claim.provider, part.machine),
        denials=[],
        containment={},
        trials={},
        receipts=[],
    )


@dataclass(slots=True)
class _Failures:
    """In the order in which they came."""

    found: list[tuple[Session, Exception]] = field(default_factory=list)


async def side_by_side(act: Act[Result], sessions: tuple[Session, ...]) -> tuple[Result, ...]:
    """Do `act` for each session at once; the results are in their order.

    One that lies around others comes when they are done: it sees what they made, and they nothing of
    it. The first failure ends the others and is raised; what else failed meanwhile is told.
    """
    inner = tuple(session for session in sessions if not _is_around(session, sessions))
    outer = tuple(session for session in sessions if _is_around(session, sessions))
    found = await all_at_once(act, inner)
    for session in outer:
        found |= await all_at_once(act, (session,))
    return tuple(found[session.part] for session in sessions)


def _is_around(session: Session, sessions: tuple[Session, ...]) -> bool:
    mine = session.transaction.prefix
    return any(
        other is not session and is_below(mine, other.transaction.prefix) for other in sessions
    )


async def all_at_once(act: Act[Result], sessions: tuple[Session, ...]) -> dict[str, Result]:
    """Do `act` for each session at once; give the results by the names of the parts."""
    if len(sessions) == 1 and not sessions[0].part:
        return {"": await act(sessions[0])}
    failures = _Failures()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {
                session.part: group.create_task(_watched(act, session, failures))
                for session in sessions
            }
    except BaseExceptionGroup:
        if not failures.found:
            raise
        (first, error), *others = failures.found
        for session, other in others:
            session.emit(Note(text=f"it failed as well: {other}"))
        if isinstance(error, ClocheError):
            error.in_part(first.part)
        else:  # such as of the system, for a full disk: it is told for the run, without the part
            first.emit(Note(text=f"it failed: {error}"))
        raise error from error.__cause__
    return {name: task.result() for name, task in tasks.items()}


async def _watched(act: Act[Result], session: Session, failures: _Failures) -> Result:
    try:
        return await act(session)
    except asyncio.CancelledError:
        if failures.found:
            session.emit(Note(text=f"stopped, because {failures.found[0][0].part} failed"))
        raise
    except Exception as error:
        failures.found.append((session, error))
        raise
