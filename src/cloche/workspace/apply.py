"""Carrying a journal out: idempotent, so that any crash is mended by doing it again.

An operation is pending while its source is where the preparation left it, with
the inode it had. Each is one atomic rename, paths are disjoint and metadata is
plain assignment, so any prefix, replayed, ends in the same state.
"""

import errno
import os
import stat
from dataclasses import dataclass, field

from cloche.workspace.effects import Effects
from cloche.workspace.errors import PathBlocked
from cloche.workspace.jail import name_of, open_beneath, open_directory, opened, parent_of, status
from cloche.workspace.journal import Action, Journal, Metadata, Operation

_OWNER_ALL = 0o700
_LOWER = (
    "its file system cannot move this directory (EXDEV), as an overlay cannot those of an image's "
    "layers; make it anew with cp -a, then run again"
)


@dataclass(slots=True)
class Replay:
    """One pass over a journal: what it found that the preparation had not seen."""

    late_edits: list[tuple[str, str]] = field(default_factory=list)
    """Path in the project, and where the user's version is, in the transaction's directory."""


def replay(journal: Journal, project: int, directory: int, effects: Effects) -> Replay:
    """Make the project what `journal` says. Raises PathBlocked and OSError; then run it again."""
    found = Replay()
    for item in journal.metadata:
        _open_up(project, item.path, effects)
    for operation in journal.operations:
        _carry_out(operation, project, directory, effects, found)
    for item in journal.metadata:
        _assign(project, item, effects)
    return found


def insist_on_moving(journal: Journal, project: int, state: int) -> None:
    """Raise PathBlocked for a directory of the project that could not be moved, while nothing is marked.

    An overlayfs, as containers have it, moves no directory of its lower layers: EXDEV
    (Documentation/filesystems/overlayfs.rst, "Renaming directories"). To be moved over a directory
    that is not empty, as the transaction's is, nobody can: the error alone tells, and nothing moves.
    """
    for operation in journal.operations:
        if operation.outgoing is None or not stat.S_ISDIR(operation.outgoing.mode):
            continue
        with opened(project, parent_of(operation.path)) as place:
            try:
                os.rename(
                    name_of(operation.path),
                    journal.directory,
                    src_dir_fd=place,
                    dst_dir_fd=state,
                )
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise PathBlocked(operation.path, _LOWER) from error


def _carry_out(
    operation: Operation, project: int, directory: int, effects: Effects, found: Replay
) -> None:
    store = open_directory(directory, parent_of(operation.store))
    try:
        if not _is_pending(operation, store):
            _look_at(operation, store, found)
            return
        try:
            place = open_directory(project, parent_of(operation.path), same_mount=True)
        except OSError as error:
            if operation.action is Action.REMOVE and error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise PathBlocked(operation.path, error.strerror or str(error)) from error
        try:
            _rename(operation, place, store, effects)
        except OSError as error:
            raise PathBlocked(operation.path, error.strerror or str(error)) from error
        finally:
            os.close(place)
        _look_at(operation, store, found)
    finally:
        os.close(store)


def _rename(operation: Operation, place: int, store: int, effects: Effects) -> None:
    name, stored = name_of(operation.path), name_of(operation.store)
    if operation.action is Action.REMOVE:
        _open_up(place, name, effects)
        try:
            effects.place(place, name, store, stored)
        except FileNotFoundError:
            return  # The user deleted it too.
        return
    # The user may have made or deleted the entry since the preparation: what
    # was journalled still happens, and what it displaces is kept.
    _open_up(place, name, effects)
    first, second = effects.place, effects.exchange
    if operation.action is Action.SWAP:
        first, second = second, first
    try:
        first(store, stored, place, name)
    except (FileExistsError, FileNotFoundError):
        second(store, stored, place, name)


def _is_pending(operation: Operation, store: int) -> bool:
    found = _lstat(name_of(operation.store), store)
    if operation.action is Action.REMOVE:
        return found is None
    assert operation.incoming is not None
    return found is not None and found.st_ino == operation.incoming.inode


def _look_at(operation: Operation, store: int, found: Replay) -> None:
    """Compare what came out of the project with what the preparation had judged."""
    displaced = _lstat(name_of(operation.store), store)
    if displaced is None:
        return
    expected = operation.outgoing
    if operation.theirs or expected is None or not expected.matches(displaced):
        found.late_edits.append((operation.path, operation.store))


def _open_up(at: int, path: str, effects: Effects) -> None:
    # An ordinary user cannot rename in a directory of mode 0555, nor move one
    # to another parent. The true mode is in the journal and is set at the end.
    if os.geteuid() == 0:
        return
    found = status(at, path)
    if found is None or not stat.S_ISDIR(found.st_mode):
        return
    if found.st_uid != os.geteuid() or found.st_mode & _OWNER_ALL == _OWNER_ALL:
        return
    descriptor = open_beneath(at, path, os.O_PATH)
    try:
        effects.chmod(descriptor, stat.S_IMODE(found.st_mode) | _OWNER_ALL)
    finally:
        os.close(descriptor)


def _assign(project: int, item: Metadata, effects: Effects) -> None:
    try:
        descriptor = open_beneath(project, item.path, os.O_PATH)
    except OSError:
        return  # Deleted by the user since: there is nothing to assign to.
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISDIR(found.st_mode):
            return
        # The times first: a mode of 0000 would not let a later pass in.
        if item.times and (found.st_atime_ns, found.st_mtime_ns) != (item.accessed, item.modified):
            effects.utime(descriptor, item.accessed, item.modified)
        if stat.S_IMODE(found.st_mode) != item.mode:
            effects.chmod(descriptor, item.mode)
    finally:
        os.close(descriptor)


def _lstat(name: str, at: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None
