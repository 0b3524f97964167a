"""Where everything lies on disk: one table, and how the state directory is found.

    <state>/lock                    held while a transaction is open; names the holder
    <state>/wait-<time>-<chance>    one who waits for the lock, and holds a flock on this
    <state>/generation              a number: odd while a commit is applied; see readers
    <state>/readers                 readers hold a shared flock on it, a commit an exclusive one
    <state>/turn                    readers hold it shared until they have `readers`, a commit exclusive
    <state>/reserve-<n>             room for the end of a commit, given back when the disk is full there
    <state>/journal                 exists between the mark of a commit and its completion
    <state>/tx-<id>/up              upper layer: what the sandboxes wrote
    <state>/tx-<id>/scratch/<name>  private directories, also the work directories of overlays
    <state>/tx-<id>/trash/<n>       what the commit deleted from the project
    <state>/tx-<id>/stamp           its ctime is when the transaction began
    <state>/tx-<id>/layer-<n>       an upper that a checkpoint sealed, a higher one over a lower
    <state>/tx-<id>/checkpoints     the steps that were done, and the layer of each
    <state>/resume-<id>/            checkpoints of a tx that failed, for a later run to continue from
    <state>/held-<id>/              a tx that waits for its user to commit or discard it
    <state>/held-<id>/held          what is known of it
    <state>/held-<id>/altered       what its commit changes in `up`, to be put back if it does not happen
    <state>/late-<id>/<slot>        versions of the user's that a commit displaced
    <state>/undo-<n>/               a committed tx: `up` and `trash` now hold the old versions
    <state>/undo-<n>/record         the journal of that commit
    <state>/undo-<n>/kept           directories in it that go to `late-<id>` when it is forgotten
    <state>/undo-<n>/applied        its ctime is when the commit was complete
    <state>/build-<name>-<key>/     what tools keep of the project between builds; no transaction's
    <state>/dead-<name>             to be deleted when there is time; who does holds a flock on <state>

Everything is on the file system of the project, because renames are the only
changes that a commit makes.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cloche.workspace import syscalls
from cloche.workspace.errors import StateUnavailable

LOCK = "lock"
GENERATION = "generation"
GENERATION_NEW = "generation.new"
READERS = "readers"
TURN = "turn"
JOURNAL = "journal"
JOURNAL_NEW = "journal.new"
TRANSACTION = "tx-"
LAYER = "layer-"
CHECKPOINTS = "checkpoints"
RESUMABLE = "resume-"
HELD = "held-"
HELD_RECORD = "held"
ALTERED = "altered"
PRUNED = "pruned"
LATE = "late-"
KEPT = "kept"
UNDO = "undo-"
BUILD = "build-"
DEAD = "dead-"
UPPER = "up"
WORK = "wk-"
SCRATCH = "scratch"
TRASH = "trash"
STAMP = "stamp"
RECORD = "record"
RECORD_DONE = "undone"
APPLIED = "applied"

BESIDE = ".cloche-state"
"""The state directory's name where it lies beside the project: perhaps in another project."""
NO_EXCHANGE = (
    "its file system cannot exchange two names in one step (RENAME_EXCHANGE, renameat2(2)), "
    "as some network and FAT file systems cannot"
)
NO_LINKS = "its file system has no symbolic links, as FAT has none"
_NO_MODES = "its mode cannot be made 0700, as on file systems without modes (FAT)"
_CANNOT = (errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The two directories of a workspace, open for as long as it is."""

    project: int
    state: int
    project_path: Path
    state_path: Path

    def close(self) -> None:
        """Close both; harmless to call once only."""
        os.close(self.project)
        os.close(self.state)


def undo_name(number: int) -> str:
    """Give the directory name of the undo record of commit `number`."""
    return f"{UNDO}{number:08d}"


def open_places(project: Path, state_home: Path) -> Places:
    """Open a project and its state directory, made if need be.

    The state lies below `state_home` when that is on the file system of the
    project, otherwise beside the project. Raises StateUnavailable, also for a
    file system that a commit would fail on; nothing that was made for it is then left.
    """
    project = Path(os.path.realpath(project))
    state_home = Path(os.path.realpath(state_home))
    _refuse_nesting(project, state_home)
    try:
        project_open = os.open(project, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StateUnavailable(str(project), f"the project: {error.strerror}") from error
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:20]
    tried = []
    for home in (state_home / "projects", project.parent / BESIDE):
        try:
            state = open_private(home / digest)
        except OSError as error:
            tried.append(f"{home}: {error.strerror}")
            _leave_nothing(home / digest)
            continue
        why = "on another file system than the project"
        if _mount_of(state) == _mount_of(project_open):
            why = "" if os.listdir(state) else why_unfit(state)
        if not why:
            return Places(
                project=project_open,
                state=state,
                project_path=project,
                state_path=home / digest,
            )
        os.close(state)
        _leave_nothing(home / digest)
        tried.append(f"{home}: {why}")
    os.close(project_open)
    raise StateUnavailable(str(state_home), "; ".join(tried))


def find_state(project: Path, state_home: Path) -> Path:
    """Give the state directory of a project, made if need be. Raises StateUnavailable."""
    places = open_places(project, state_home)
    places.close()
    return places.state_path


def why_unfit(at: int) -> str:
    """Try in an open directory what a commit takes of a file system; say what it lacks, "" for nothing.

    vfat exchanges names since Linux 6.0, but has no links and forgets its inode numbers.
    """
    names = [f"{DEAD}{secrets.token_hex(8)}" for _ in range(2)]
    lacking = NO_LINKS
    try:
        os.symlink("trial", names[0], dir_fd=at)
        os.mkdir(names[1], _PRIVATE, dir_fd=at)
        lacking = NO_EXCHANGE
        syscalls.renameat2(at, names[0], at, names[1], syscalls.RENAME_EXCHANGE)
    except OSError as error:
        return lacking if error.errno in _CANNOT else error.strerror or str(error)
    finally:
        for name in names:
            for remove in (os.unlink, os.rmdir):
                with contextlib.suppress(OSError):
                    remove(name, dir_fd=at)
    return ""


def _leave_nothing(state: Path) -> None:
    """Remove directories that were made for nothing; those that hold something stay."""
    for made in (state, state.parent) if state.parent.name == BESIDE else (state,):
        with contextlib.suppress(OSError):
            made.rmdir()


def _refuse_nesting(project: Path, state_home: Path) -> None:
    if project.parent == project:
        raise StateUnavailable(str(state_home), 'the project is "/"')
    if state_home.is_relative_to(project):
        raise StateUnavailable(str(state_home), f"the project {str(project)!r} contains it")
    for home in (state_home / "projects", project.parent / BESIDE):
        if project.is_relative_to(home):
            raise StateUnavailable(str(state_home), f"it contains the project {str(project)!r}")


def open_private(path: Path) -> int:
    """Open the directory `path`, made if need be: it and its parent are ours, of mode 0700, no links.

    Raises OSError.
    """
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(mode=_PRIVATE, exist_ok=True)
    # The parent may be a directory that others write to: what is there now may
    # be a link, or a directory somebody else prepared for us.
    parent = _open_own(path.parent, None)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.name, _PRIVATE, dir_fd=parent)
        return _open_own(Path(path.name), parent)
    finally:
        os.close(parent)


def _open_own(path: Path, at: int | None) -> int:
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(path, os.O_PATH | flags, dir_fd=at)
    try:
        found = os.fstat(place)
        if found.st_uid != os.geteuid():
            raise PermissionError(1, f"{str(path)!r} belongs to user {found.st_uid}")
        if stat.S_IMODE(found.st_mode) != _PRIVATE:
            # Also one that is shut to us: passed over, its lock, journal and undo would be forgotten.
            with contextlib.suppress(PermissionError):
                os.chmod(f"/proc/self/fd/{place}", _PRIVATE)
            if stat.S_IMODE(os.fstat(place).st_mode) != _PRIVATE:
                raise PermissionError(errno.EPERM, _NO_MODES)
        return os.open(".", os.O_RDONLY | flags, dir_fd=place)
    finally:
        os.close(place)


def _mount_of(descriptor: int) -> tuple[int, str]:
    # Two bind mounts of one file system have one st_dev, and rename refuses to
    # go from one to the other; mnt_id (Linux 3.15) tells them apart.
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    mount = next((line for line in lines if line.startswith("mnt_id:")), "")
    return os.fstat(descriptor).st_dev, mount
