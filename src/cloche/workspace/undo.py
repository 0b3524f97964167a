"""Taking a commit back: its operations the other way round, by the same journal."""

import os
import stat

from cloche.workspace import journal as journals
from cloche.workspace import layout
from cloche.workspace.conflict import is_edited
from cloche.workspace.diff import walk_base
from cloche.workspace.effects import Effects
from cloche.workspace.errors import UndoRefused
from cloche.workspace.finish import finish, is_undone, read_record, undo_numbers
from cloche.workspace.jail import opened, status
from cloche.workspace.journal import Action, Journal, Kind, Operation, Tally
from cloche.workspace.report import Committed
from cloche.workspace.reserve import keep_room

_MOST_ENTRIES = 4_000_000


def undo_last(places: layout.Places, effects: Effects) -> Committed:
    """Take the last commit back that is not undone yet. Raises UndoRefused with nothing changed."""
    standing = [n for n in sorted(undo_numbers(places.state)) if not is_undone(places.state, n)]
    if not standing:
        raise UndoRefused("there is no commit to take back")
    number = standing[-1]
    record = read_record(places.state, number)
    if record is None:
        raise UndoRefused(f"the record of commit {number} is gone")
    edited = _edited(record, places, number)
    if edited:
        raise UndoRefused("what the commit installed was changed since", edited)
    journal = Journal(
        kind=Kind.UNDO,
        transaction=record.transaction,
        directory=layout.undo_name(number),
        number=number,
        began=record.began,
        operations=tuple(_reversed(operation) for operation in record.operations),
        metadata=record.before,
        owned=record.owned,
        tally=Tally(
            added=record.tally.deleted,
            replaced=record.tally.replaced,
            deleted=record.tally.added,
        ),
    )
    keep_room(places.state, effects)
    journals.write_mark(effects, places.state, journal)
    late = finish(journal, places, effects)
    return Committed(
        transaction=record.transaction,
        added=journal.tally.added,
        replaced=journal.tally.replaced,
        deleted=journal.tally.deleted,
        late_edits=late,
    )


def _reversed(operation: Operation) -> Operation:
    action = {Action.ADD: Action.REMOVE, Action.REMOVE: Action.ADD}.get(
        operation.action, Action.SWAP
    )
    return Operation(
        action=action,
        path=operation.path,
        store=operation.store,
        incoming=operation.outgoing,
        outgoing=operation.incoming,
    )


def _edited(record: Journal, places: layout.Places, number: int) -> tuple[str, ...]:
    """Give what the user changed since the commit among what undoing would take away."""
    with opened(places.state, layout.undo_name(number)) as directory:
        applied = os.stat(layout.APPLIED, dir_fd=directory).st_ctime_ns
    moved = _moved_by_later(places, number)
    edited = []
    for operation in record.operations:
        found = status(places.project, operation.path)
        if operation.action is Action.REMOVE:
            if found is not None:
                edited.append(operation.path)
            continue
        if found is None or operation.incoming is None or not operation.incoming.matches(found):
            edited.append(operation.path)
            continue
        if operation.path in record.owned or not stat.S_ISDIR(found.st_mode):
            continue
        for path, below in walk_base(places.project, operation.path, limit=_MOST_ENTRIES):
            # Undoing a later commit set back the times of directories and moved
            # entries, which changed their ctime and nothing the user made.
            if path in moved or path == operation.path:
                continue
            since = below.st_mtime_ns >= applied
            if since or (not stat.S_ISDIR(below.st_mode) and is_edited(below, applied)):
                edited.append(path)
    return tuple(edited)


def _moved_by_later(places: layout.Places, number: int) -> frozenset[str]:
    """Give the paths that undone commits after `number` moved out and back."""
    paths: set[str] = set()
    for later in undo_numbers(places.state):
        record = read_record(places.state, later) if later > number else None
        if record is not None:
            paths.update(operation.path for operation in record.operations)
    return frozenset(paths)
