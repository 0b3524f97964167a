"""From the mark of a journal to its end; the same road for a commit, an undo and a recovery."""

import contextlib
import os

from cloche.errors import ClocheError, SystemRefused
from cloche.workspace import journal as journals
from cloche.workspace import layout
from cloche.workspace.apply import replay
from cloche.workspace.discard import discard
from cloche.workspace.effects import Effects
from cloche.workspace.errors import JournalDamaged, RecoveryNeeded
from cloche.workspace.jail import names_in, open_directory, opened
from cloche.workspace.journal import Journal, Kind
from cloche.workspace.readers import begin_generation, end_generation, kept_from_reading
from cloche.workspace.reserve import give_room
from cloche.workspace.shelf import drop_places, keep_aside, move_to_shelf

_KEPT_UNDO = 5


def touch_after(directory: int, name: str, effects: Effects) -> int:
    """Make the file `name` whose ctime is later than all that happened before; give it, in ns.

    The clock of a file system goes in ticks (up to 10 ms): a file changed just
    before has the same time as one changed just after, so a tick is waited for.
    """
    with contextlib.suppress(FileNotFoundError):
        effects.unlink(directory, name)
    descriptor = effects.create(directory, name, b"")
    try:
        first = now = os.fstat(descriptor).st_ctime_ns
        while now <= first:
            effects.chmod(descriptor, 0o600)
            now = os.fstat(descriptor).st_ctime_ns
        return now
    finally:
        os.close(descriptor)


def refusal(places: layout.Places, doing: str, error: OSError) -> ClocheError:
    """Give what a caller is told of an error of the disk: whether the mark stands decides."""
    if journals.is_marked(places.state):
        return RecoveryNeeded(str(places.project_path))
    return SystemRefused(doing, error)


def finish(journal: Journal, places: layout.Places, effects: Effects) -> tuple[str, ...]:
    """Do what a marked journal says, to its end. Gives where versions edited meanwhile are kept.

    Raises RecoveryNeeded when the disk refuses twice; the journal then stays.
    """
    try:
        with kept_from_reading(places):
            return _finish(journal, places, effects)
    except (OSError, ClocheError):
        give_room(places.state, effects)
        try:
            with kept_from_reading(places):
                return _finish(journal, places, effects)
        except (OSError, ClocheError) as error:
            raise RecoveryNeeded(str(places.project_path)) from error


def _finish(journal: Journal, places: layout.Places, effects: Effects) -> tuple[str, ...]:
    kept: tuple[str, ...] = ()
    try:
        directory = open_directory(places.state, journal.directory)
    except FileNotFoundError:
        # The last rename of an earlier pass was persisted, this name was not.
        end_generation(places.state, effects)
        effects.unlink(places.state, layout.JOURNAL)
        return kept
    try:
        begin_generation(places.state, effects)
        found = replay(journal, places.project, directory, effects)
        effects.syncfs(places.state)
        if journal.kind is Kind.UNDO:
            drop_places(directory, places, effects)
        kept = keep_aside(found.late_edits, directory, journal, places, effects)
        if journal.kind is Kind.COMMIT:
            touch_after(directory, layout.APPLIED, effects)
        ending = layout.RECORD if journal.kind is Kind.COMMIT else layout.RECORD_DONE
        end_generation(places.state, effects)
        # This rename is the end: the journal is no more, the record is.
        effects.rename(places.state, layout.JOURNAL, directory, ending)
        if journals.is_marked(places.state):
            # After a power loss btrfs can show both names of the one file, and between
            # those rename(2) does nothing.
            effects.unlink(places.state, layout.JOURNAL)
        effects.fsync(directory)
        effects.fsync(places.state)
    finally:
        os.close(directory)
    if journal.kind is Kind.COMMIT:
        settle(journal.directory, journal.number, places, effects)
    return kept


def settle(directory: str, number: int, places: layout.Places, effects: Effects) -> None:
    """Make a transaction that is applied an undo record, and forget the oldest ones."""
    effects.rename(places.state, directory, places.state, layout.undo_name(number))
    effects.fsync(places.state)
    numbers = sorted(undo_numbers(places.state))
    for old in numbers[:-_KEPT_UNDO]:
        # A record that cannot be read stays: nobody knows what in it is the user's.
        with contextlib.suppress(JournalDamaged):
            move_to_shelf(old, places, effects)
            discard(places.state, layout.undo_name(old), effects)


def undo_numbers(state: int) -> tuple[int, ...]:
    """Give the numbers of the undo records, undone ones too."""
    names = (n.removeprefix(layout.UNDO) for n in names_in(state) if n.startswith(layout.UNDO))
    return tuple(int(n) for n in names if n.isdecimal())


def read_record(state: int, number: int) -> Journal | None:
    """Read the journal of a finished commit; None when it is gone."""
    with opened(state, layout.undo_name(number)) as directory:
        return journals.read(directory, layout.RECORD)


def is_undone(state: int, number: int) -> bool:
    """Tell whether the commit was taken back."""
    with opened(state, layout.undo_name(number)) as directory:
        return layout.RECORD_DONE in os.listdir(directory)
