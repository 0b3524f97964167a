"""From the mark of a journal to its end; the same road for a commit, an undo and a recovery."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cloche.errors import ClocheError, SystemRefused
from cloche.workspace import journal as journals
from cloche.workspace import layout
from cloche.workspace.apply import replay
from cloche.workspace.discard import discard
from cloche.workspace.effects import Effects
from cloche.workspace.errors import JournalDamaged, RecoveryNeeded
from cloche.workspace.jail import name_of, names_in, open_directory, opened, parent_of, status
from cloche.workspace.journal import Journal, Kind
from cloche.workspace.readers import begin_generation, end_generation, kept_from_reading
from cloche.workspace.reserve import give_room

_LATE = "late-"
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
        kept = _keep_late_edits(found.late_edits, directory, journal, places, effects)
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
        _forget(old, places, effects)


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


def _forget(number: int, places: layout.Places, effects: Effects) -> None:
    """Discard an undo record, but no directory of the user's in it that lost a conflict.

    A record that cannot be read stays: nobody knows what in it is the user's.
    """
    try:
        record = read_record(places.state, number)
    except JournalDamaged:
        return
    if record is not None and not is_undone(places.state, number):
        disputed = [each for each in record.operations if each.disputed]
        with opened(places.state, layout.undo_name(number)) as directory:
            for place, operation in enumerate(disputed):
                found = status(directory, operation.store)
                if found is None or not stat.S_ISDIR(found.st_mode):
                    continue  # a file has its second name already
                with (
                    _shelf(record, places, effects) as (shelf, _),
                    opened(directory, parent_of(operation.store)) as source,
                ):
                    slot = f"directory-{place}-{name_of(operation.path)}"[-200:]
                    effects.rename(source, name_of(operation.store), shelf, slot)
    discard(places.state, layout.undo_name(number), effects)


@contextlib.contextmanager
def _shelf(journal: Journal, places: layout.Places, effects: Effects) -> Iterator[tuple[int, Path]]:
    """Open where versions of the user's are kept that a commit displaced; nothing clears it."""
    name = f"{_LATE}{journal.transaction}"
    with contextlib.suppress(FileExistsError):
        effects.mkdir(places.state, name, 0o700)
    with opened(places.state, name) as shelf:
        yield shelf, places.state_path / name


def _keep_late_edits(
    late: list[tuple[str, str]],
    directory: int,
    journal: Journal,
    places: layout.Places,
    effects: Effects,
) -> tuple[str, ...]:
    """Give each version of the user's that came out a second name where no clearing comes."""
    if not late:
        return ()
    kept = []
    with _shelf(journal, places, effects) as (shelf, place):
        for number, (path, store) in enumerate(late):
            slot = f"{number}-{name_of(path)}"[-200:]
            where = str(place / slot)
            with opened(directory, parent_of(store)) as source:
                try:
                    effects.link(source, name_of(store), shelf, slot)
                except FileExistsError:
                    pass  # by an earlier pass
                except OSError:
                    # A directory cannot have two names: it stays in the undo record.
                    where = "in the undo record of this commit"
            kept.append(f"{path} (your version: {where})")
    return tuple(kept)
