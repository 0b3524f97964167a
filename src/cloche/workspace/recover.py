"""After a crash: finish what was marked, forget what was not."""

from cloche.workspace import journal as journals
from cloche.workspace import layout
from cloche.workspace.checkpoint import find_resumable, forget_resumable, set_aside
from cloche.workspace.discard import discard, opened_own
from cloche.workspace.effects import Effects
from cloche.workspace.finish import finish, settle
from cloche.workspace.held import held_names
from cloche.workspace.jail import names_in
from cloche.workspace.report import RecoveryReport


def recover(places: layout.Places, effects: Effects) -> RecoveryReport:
    """Bring project and state to rest; the caller holds the lock. Doing it again changes nothing.

    Raises JournalDamaged, with nothing changed, and RecoveryNeeded when the
    disk still refuses.
    """
    completed = False
    late: tuple[str, ...] = ()
    journal = journals.read(places.state, layout.JOURNAL)
    if journal is not None:
        late = finish(journal, places, effects)
        completed = True
    discarded = clear(places, effects)
    return RecoveryReport(
        completed=completed,
        discarded=discarded,
        held=len(held_names(places.state)),
        resumable=bool(find_resumable(places.state, effects)),
        late_edits=late,
    )


def clear(places: layout.Places, effects: Effects) -> int:
    """Discard the transactions of writers that are dead, and count them; no journal may exist.

    Of one that has checkpoints these are set aside, which is no discarding.
    """
    discarded = 0
    forget_resumable(places.state, effects, stale_only=True)
    for name in sorted(names_in(places.state)):
        if name == layout.JOURNAL_NEW:
            effects.unlink(places.state, name)  # half a mark: its commit never happened
        if not name.startswith((layout.TRANSACTION, layout.HELD)):
            continue
        with opened_own(places.state, name, effects) as directory:
            record = journals.read(directory, layout.RECORD)
        if record is not None:
            # Applied whole; only its last rename was lost.
            settle(name, record.number, places, effects)
            continue
        if name.startswith(layout.HELD):
            continue  # it waits for its user
        if set_aside(name, places.state, effects):
            continue  # a later run may continue it
        discard(places.state, name, effects)
        discarded += 1
    return discarded
