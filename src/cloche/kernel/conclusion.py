"""How a run ends for its project: committed, held for its user, or as if it had never been."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from cloche.errors import ClocheError
from cloche.kernel.context import RunOptions
from cloche.kernel.ends import in_thread, past_return
from cloche.kernel.screening import Judges, screen_rules
from cloche.kernel.session import Session
from cloche.kernel.sessions import Sessions
from cloche.model.event import ArtifactMade, ChangesCommitted, Denied, Note
from cloche.workspace.choice import Choice
from cloche.workspace.errors import ChangesRefused, EditedMeanwhile
from cloche.workspace.report import Committed
from cloche.workspace.transaction import Transaction

Body = Callable[[Sessions], Awaitable[tuple[ArtifactMade, ...]]]

_HELD = (
    "held, and nothing in the project changed: `cloche diff DIR --text` shows it, "
    "`cloche commit DIR` commits it, or a part (--only), `cloche discard DIR` throws it away"
)
_EDITED = (
    "Nothing was changed, and what the run did is held: look with `cloche diff DIR --text`, then "
    "`cloche commit DIR --conflicts theirs` (your versions stay) or `ours` (they are kept aside), "
    "or `cloche discard DIR`."
)
_READ = (
    "Nothing was changed, and what the run did is held: run again, or look with `cloche diff DIR` "
    "and commit it all the same with `cloche commit DIR`, without --check-reads."
)
_REFUSED = (
    "Nothing was changed, and what the run did is held: allow what is meant in the policy and "
    "`cloche commit DIR`, commit a part with --only, or `cloche discard DIR` and mend the build."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One verb to carry out."""

    verb: str
    body: Body
    options: RunOptions
    commits: bool
    resumes: bool = False
    """Continue what a failed run of the same verb left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What became of a transaction; nothing, when both are empty."""

    committed: ChangesCommitted | None = None
    held: str = ""


async def conclude(
    work: Work, session: Session, transaction: Transaction, status: int
) -> Conclusion:
    """End the transaction of a run as its options and its outcome want it.

    Raises what Transaction.commit raises. What was refused for its changes,
    or for edits of the user's, is held.
    """
    options = work.options
    if not work.commits or options.discard or (status != 0 and not options.keep):
        await in_thread(transaction.rollback)
        return Conclusion()
    if options.hold:
        held = await _hold(work, session, transaction)
        session.emit(Note(text=_HELD if held else "nothing to hold: the run changed nothing"))
        return Conclusion(held=held)
    choice = Choice(conflicts=options.conflicts, check_reads=options.check_reads)
    judges = Judges(
        machine=session.machine,
        policy=session.policy,
        context=session.context,
        was_hidden=frozenset(session.was_hidden),
    )
    try:
        done = await past_return(transaction.commit, screen_rules(judges), choice)
    except (ChangesRefused, EditedMeanwhile) as refusal:
        # Held or not, the refusal is what the caller hears of.
        with suppress(ClocheError, OSError):
            if await _hold(work, session, transaction):
                refusal.remedy = remedy_of(refusal)
        for reason in refusal.reasons if isinstance(refusal, ChangesRefused) else ():
            session.note(Denied(step="commit", rule="commit", tried=reason, remedy=refusal.remedy))
        raise
    for text in notes_of(done):
        session.emit(Note(text=text))
    event = event_of(done)
    session.emit(event)
    return Conclusion(committed=event)


def event_of(done: Committed) -> ChangesCommitted:
    """Give a commit as callers hear of it."""
    return ChangesCommitted(
        transaction=done.transaction,
        added=done.added,
        replaced=done.replaced,
        deleted=done.deleted,
        dropped=done.dropped,
        kept_aside=done.late_edits,
        overruled=done.overruled,
    )


def notes_of(done: Committed) -> tuple[str, ...]:
    """Say what of a commit is not in the project, and what of the user's is not there any more."""
    return (
        *(f"you edited {path} meanwhile; your version is kept aside" for path in done.late_edits),
        *(f"not committed, because you changed it: {path}" for path in done.dropped),
        *(f"overruled: {said}" for said in done.overruled),
        *((f"{done.left_out} changes were not selected and are gone",) if done.left_out else ()),
    )


async def _hold(work: Work, session: Session, transaction: Transaction) -> str:
    hidden = frozenset(session.was_hidden)
    held = await past_return(transaction.hold, work.verb, hidden=hidden, when=time.time())
    if held is None:
        return ""
    if held.replaced:
        session.emit(Note(text=f"what was held before ({held.replaced}) is thrown away"))
    return held.transaction


def remedy_of(refusal: ChangesRefused | EditedMeanwhile) -> str:
    """Say what to do about a commit that was refused while what it would do is held."""
    if isinstance(refusal, ChangesRefused):
        return _REFUSED
    return _READ if refusal.only_read else _EDITED
