"""A stack of upper layers made one, which says over the project what all of them said.

Each upper is merged down into the lowest by renames, and walked only where both have
directories that merge: a whole new tree is one rename. What is replaced goes the
other way, into the upper that nobody will look at again, so nothing is deleted here.
"""

import errno
import os
import stat
from dataclasses import dataclass

from cloche.workspace.diff import LONGEST, OPAQUE, ORIGIN, OVERLAY_MARK, is_opaque, is_whiteout
from cloche.workspace.effects import Effects
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.jail import by_descriptor, join, open_beneath, opened

_OWNER_ALL = 0o700
_MOST_ENTRIES = 4_000_000  # as many as a transaction looks at when it is to be shown
_CARRIED = ("user.", "system.posix_acl_")
"""Attributes that a program can give a directory; `trusted` and `security` are the system's. xattr(7)"""


def flatten(uppers: tuple[int, ...], base: int, effects: Effects) -> None:
    """Make the lowest of `uppers` (open directories, LOWEST FIRST) say over `base` what all of them say.

    The others are rubble then, to be thrown away. After an error all of them are, as what is
    half merged means nothing; `base` is only read. Raises TreeTooLarge, and OSError as the disk
    gives it.
    """
    for upper in uppers[1:]:
        _Merger(upper, uppers[0], base, effects).merge()


@dataclass(frozen=True, slots=True)
class _Pair:
    """A directory of the upper that merges with the lower's of the same path."""

    path: str
    found: os.stat_result
    """The upper's, as it was."""
    hides: bool
    """Whether the lower's is opaque, or one above it: the project is not seen through it."""


class _Merger:
    """Merges one upper down into the lowest."""

    def __init__(self, upper: int, lower: int, base: int, effects: Effects) -> None:
        self._upper, self._lower, self._base = upper, lower, base
        self._effects = effects
        self._seen = 0

    def merge(self) -> None:
        """Leave nothing in the upper that is still to be seen."""
        waiting = [_Pair("", os.fstat(self._upper), hides=False)]
        for root in (self._upper, self._lower):
            self._open_up(root, os.fstat(root))
        done: list[_Pair] = []
        while waiting:
            pair = waiting.pop()
            done.append(pair)
            waiting += self._merge_directory(pair)
        # Children first: a mode of 0000 would not let a later one in.
        for pair in reversed(done):
            self._make_like(self._lower, pair.path, pair.found)

    def _merge_directory(self, pair: _Pair) -> list[_Pair]:
        """Merge the entries of a directory; give the directories below that merge."""
        with opened(self._upper, pair.path) as above, opened(self._lower, pair.path) as below:
            self._carry_attributes(above, below)
            names = self._names(above, pair.path)
            merged = [self._merge_entry(pair, name, above, below) for name in names]
        return [further for further in merged if further is not None]

    def _merge_entry(self, pair: _Pair, name: str, above: int, below: int) -> _Pair | None:
        new, old = os.stat(name, dir_fd=above, follow_symlinks=False), _lstat(name, below)
        if is_whiteout(new):
            self._delete(pair, name, above, below, old)
        elif not stat.S_ISDIR(new.st_mode):
            self._forget_origin(name, above, below, new, old)
            self._move(name, above, below, old)
        else:
            self._open_named(above, name, new)
            if old is not None and stat.S_ISDIR(old.st_mode) and not is_opaque(above, name):
                self._open_named(below, name, old)
                hides = pair.hides or is_opaque(below, name)
                return _Pair(join(pair.path, name), new, hides)
            if old is not None and not stat.S_ISDIR(old.st_mode):
                self._hide_base(above, name)
            self._move(name, above, below, old)
            # On xfs a directory's own mtime changes when it moves to another parent.
            self._make_like(below, name, new)
        return None

    def _delete(
        self, pair: _Pair, name: str, above: int, below: int, old: os.stat_result | None
    ) -> None:
        is_shown = not pair.hides and self._base_shows(join(pair.path, name))
        if old is not None or is_shown:
            self._move(name, above, below, old)
        if old is not None and not is_shown:
            self._effects.unlink(below, name)

    def _base_shows(self, path: str) -> bool:
        """Tell whether an overlay would show the project's `path`; yes where it cannot be looked at.

        A whiteout that hides nothing does no harm, as one that lacks would.
        """
        try:
            descriptor = open_beneath(self._base, path, os.O_PATH, same_mount=True)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            return error.errno != errno.ELOOP  # below a link
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        # The project's own device 0/0 is shown by no overlay, and a deletion would not be meant.
        return not (stat.S_ISCHR(found.st_mode) and found.st_rdev == 0)

    def _hide_base(self, above: int, name: str) -> None:
        """Make a directory opaque whose lower entry is about to go, with which its layers ended.

        Also where the project has nothing to hide: a held transaction waits, and it may then.
        """
        descriptor = open_beneath(above, name, os.O_PATH)
        try:
            self._effects.mark(descriptor, OPAQUE, b"y")
        finally:
            os.close(descriptor)

    def _move(self, name: str, above: int, below: int, old: os.stat_result | None) -> None:
        """Move an entry down; what was there goes up."""
        if old is None:
            self._effects.place(above, name, below, name)
            return
        if stat.S_ISDIR(old.st_mode):
            self._open_named(below, name, old)
        self._effects.exchange(above, name, below, name)

    def _forget_origin(
        self, name: str, above: int, below: int, new: os.stat_result, old: os.stat_result | None
    ) -> None:
        """Take the mark of a file copied up from one that was new: the project never had it.

        With the mark, and whenever the user changes the directory, the file would be one that the
        user deleted (see conflict). The mark is the inode's, so of several names each keeps it: by
        another one the file may be the project's.
        """
        if old is None or not stat.S_ISREG(new.st_mode) or not stat.S_ISREG(old.st_mode):
            return
        if new.st_nlink > 1 or not _has_origin(above, name) or _has_origin(below, name):
            return
        descriptor = open_beneath(above, name, os.O_PATH)
        try:
            with self._effects.granted(descriptor, stat.S_IWUSR):
                self._effects.unmark(descriptor, ORIGIN)
        finally:
            os.close(descriptor)

    def _carry_attributes(self, above: int, below: int) -> None:
        """Give the lower directory the upper's attributes, overlayfs's own marks aside."""
        new, old = attributes_of(above), attributes_of(below)
        for name in sorted(old.keys() - new.keys()):
            self._effects.unmark(below, name)
        for name, value in new.items():
            if old.get(name) != value:
                self._effects.mark(below, name, value)

    def _open_named(self, at: int, name: str, found: os.stat_result) -> None:
        descriptor = open_beneath(at, name, os.O_PATH | os.O_DIRECTORY)
        try:
            self._open_up(descriptor, found)
        finally:
            os.close(descriptor)

    def _open_up(self, descriptor: int, found: os.stat_result) -> None:
        """Let an ordinary owner use a directory.

        Its marks are read, and it is moved to another parent, only with rights on it itself.
        """
        if os.geteuid() != 0 and found.st_mode & _OWNER_ALL != _OWNER_ALL:
            self._effects.chmod(descriptor, stat.S_IMODE(found.st_mode) | _OWNER_ALL)

    def _make_like(self, root: int, path: str, found: os.stat_result) -> None:
        """Give a directory the owner, mode and times of another, or its own back."""
        descriptor = open_beneath(root, path, os.O_PATH | os.O_DIRECTORY)
        try:
            now = os.fstat(descriptor)
            if os.geteuid() == 0 and (now.st_uid, now.st_gid) != (found.st_uid, found.st_gid):
                self._effects.chown(descriptor, found.st_uid, found.st_gid)
            if now.st_mode != found.st_mode:
                self._effects.chmod(descriptor, stat.S_IMODE(found.st_mode))
            if (now.st_atime_ns, now.st_mtime_ns) != (found.st_atime_ns, found.st_mtime_ns):
                self._effects.utime(descriptor, found.st_atime_ns, found.st_mtime_ns)
        finally:
            os.close(descriptor)

    def _names(self, directory: int, path: str) -> list[str]:
        names: list[str] = []
        room = LONGEST - len(os.fsencode(path))
        with os.scandir(directory) as entries:
            for entry in entries:
                self._seen += 1
                if self._seen > _MOST_ENTRIES:
                    raise TreeTooLarge(path, f"it has more than {_MOST_ENTRIES} entries")
                if len(os.fsencode(entry.name)) >= room:
                    raise TreeTooLarge(path[:200], f"it has paths longer than {LONGEST} bytes")
                names.append(entry.name)
        return sorted(names)


def attributes_of(directory: int) -> dict[str, bytes]:
    """Give the attributes that a program may have given a directory, overlayfs's own marks aside."""
    try:
        names = os.listxattr(directory)
    except OSError:
        return {}  # a file system without extended attributes
    return {
        name: os.getxattr(directory, name)
        for name in names
        if name.startswith(_CARRIED) and not name.startswith(OVERLAY_MARK)
    }


def _has_origin(at: int, name: str) -> bool:
    try:
        return ORIGIN in os.listxattr(f"{by_descriptor(at)}/{name}", follow_symlinks=False)
    except OSError:
        return False


def _lstat(name: str, at: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None
