"""What a transaction changed: a walk of its upper layer, never of the project.

The upper is what sandboxes left, so everything in it is hostile: the walk
goes by descriptors, follows no link, keeps its own list instead of recursing,
and stops at the limits it is given.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum

from cloche.model.paths import JailPath
from cloche.workspace.errors import EditedMeanwhile, PathBlocked, TreeTooLarge
from cloche.workspace.jail import by_descriptor, join, open_beneath, open_directory, opened

# A path that is longer cannot be named together with the directory it is in
# (PATH_MAX, linux/limits.h), and ordinary tools could not open the result.
LONGEST = 4000
_MOST = 4_000_000
_MOUNTED = "something else is mounted there"

OVERLAY_MARK = "user.overlay."  # Documentation/filesystems/overlayfs.rst, "userxattr"
OPAQUE = OVERLAY_MARK + "opaque"
ORIGIN = OVERLAY_MARK + "origin"


class Kind(Enum):
    """What happens to an entry of the project."""

    ADD = "add"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry that differs; a directory that is new as a whole is one change."""

    kind: Kind
    path: JailPath
    is_directory: bool
    size: int
    """Bytes in regular files that the change brings in."""
    entries: int
    """How many entries it brings in, itself counted; 1 for a deletion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All changes of a transaction, ordered by path."""

    items: tuple[Change, ...] = ()

    def count(self, kind: Kind) -> int:
        """Give how many changes are of `kind`."""
        return sum(change.kind is kind for change in self.items)


class Role(Enum):
    """What an entry of the upper means."""

    WHITEOUT = "whiteout"
    """The project's entry is deleted."""
    MERGED = "merged"
    """A directory here and in the project; its children follow."""
    TREE = "tree"
    """A directory that takes the place of whatever the project has; its children are INSIDE."""
    LEAF = "leaf"
    """Anything else that is new or replaces."""
    INSIDE = "inside"
    """Below a TREE, or a stray whiteout there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One entry of the upper beside what the project has in its place."""

    path: str
    role: Role
    upper: os.stat_result
    base: os.stat_result | None
    """None when the project has nothing there, and always for INSIDE."""
    parent: os.stat_result | None
    """The project's directory that holds it; None for INSIDE and for the root."""
    marks: tuple[str, ...] = ()
    """Names of the extended attributes."""
    target: str = ""
    """Of a symbolic link."""


Opener = Callable[[str, os.stat_result], None]
"""Told of every directory before it is opened, so that it can be made readable."""


def is_whiteout(found: os.stat_result) -> bool:
    """Tell whether this says "deleted": overlayfs's character device 0/0, or ours, a fifo of mode 0.

    On an overlayfs nobody may make the first (ovl_mknod() answers EPERM). A program that makes the
    second says what it may say by deleting: both are judged as a deletion.
    """
    if stat.S_ISFIFO(found.st_mode):
        return stat.S_IMODE(found.st_mode) == 0
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def walk_upper(
    upper: int, base: int, *, limit: int, opener: Opener, enters_trees: bool = True
) -> Iterator[Difference]:
    """Give every entry of the upper, parents before children, names in order.

    Without `enters_trees`, of what is new or replaced as a whole only the directory is given.
    Raises TreeTooLarge beyond `limit` entries, PathBlocked where another file
    system is mounted in the project, EditedMeanwhile when a directory of the
    project vanishes during the walk.
    """
    root = Difference(
        path="", role=Role.MERGED, upper=os.fstat(upper), base=os.fstat(base), parent=None
    )
    yield root
    waiting = [root]
    seen = 0
    while waiting:
        directory = waiting.pop()
        opener(directory.path, directory.upper)
        with ExitStack() as opened:
            here = open_directory(upper, directory.path)
            opened.callback(os.close, here)
            there = None
            if directory.role is Role.MERGED:
                there = _open_base(base, directory.path)
                opened.callback(os.close, there)
            for name in _names(here, directory.path, limit - seen):
                seen += 1
                found = _difference(directory, name, here, there, opener)
                yield found
                is_entered = enters_trees or found.role is Role.MERGED
                if stat.S_ISDIR(found.upper.st_mode) and is_entered:
                    waiting.append(found)


def changes_anything(upper: int, base: int, modes: Mapping[str, int]) -> bool:
    """Tell whether the upper says anything but which directories there are on the way to nothing.

    All of its directories are open to us; `modes` has what was the mode of those that were shut.
    """
    walk = walk_upper(upper, base, limit=_MOST, opener=lambda *_: None, enters_trees=False)
    try:
        return any(
            found.base is None
            or found.role is not Role.MERGED
            or modes.get(found.path, stat.S_IMODE(found.upper.st_mode))
            != stat.S_IMODE(found.base.st_mode)
            for found in walk
        )
    except (EditedMeanwhile, PathBlocked, TreeTooLarge):
        return True  # a commit will say what of


def refuse_mount(base: int, path: str) -> None:
    """Raise PathBlocked where something is mounted at `path`, which no rename can then move (EBUSY)."""
    try:
        os.close(open_beneath(base, path, os.O_PATH, same_mount=True))
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise PathBlocked(path, _MOUNTED) from error


def walk_base(
    base: int, path: str, *, limit: int, passes: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[str, os.stat_result]]:
    """Give every entry of the project's directory `path`, itself first.

    What cannot be read is passed over: nobody but the user can have hidden it. So is what
    `passes` says yes to, with all below it. Raises PathBlocked where another file system is
    mounted in it: a rename would take that along, and what is later thrown away would be its
    content.
    """
    waiting = [path]
    seen = 0
    while waiting:
        current = waiting.pop()
        try:
            directory = open_directory(base, current, same_mount=True)
        except (PermissionError, FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise PathBlocked(current, _MOUNTED) from error
            raise
        try:
            if current == path:
                yield path, os.fstat(directory)
            for name in _names(directory, current, limit - seen):
                seen += 1
                found = _lstat(name, directory)
                if found is None or passes(join(current, name)):
                    continue
                yield join(current, name), found
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(join(current, name))
        finally:
            os.close(directory)


def has_more_than(upper: int, count: int) -> bool:
    """Tell whether an upper has more than `count` entries, looking at no more; yes when it cannot be read."""
    waiting, seen = [""], 0
    while waiting:
        path = waiting.pop()
        try:
            with opened(upper, path) as directory, os.scandir(directory) as entries:
                for entry in entries:
                    seen += 1
                    if seen > count:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(join(path, entry.name))
        except OSError:
            return True
    return False


def _names(directory: int, path: str, room: int) -> list[str]:
    names: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if len(names) >= room:
                raise TreeTooLarge(path, "it has more entries than the limit allows")
            names.append(entry.name)
    if names and len(os.fsencode(path)) + max(map(len, map(os.fsencode, names))) >= LONGEST:
        raise TreeTooLarge(path[:200], f"it has paths longer than {LONGEST} bytes")
    names.sort()
    return names


def _open_base(base: int, path: str) -> int:
    try:
        return open_directory(base, path, same_mount=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise EditedMeanwhile((path,)) from error
    except OSError as error:
        raise PathBlocked(path, error.strerror or "it cannot be opened") from error


def _difference(
    directory: Difference, name: str, here: int, there: int | None, opener: Opener
) -> Difference:
    path = join(directory.path, name)
    upper = os.stat(name, dir_fd=here, follow_symlinks=False)
    base = _lstat(name, there) if there is not None else None
    marks: tuple[str, ...] = ()
    if stat.S_ISDIR(upper.st_mode):
        opener(path, upper)
    if stat.S_ISDIR(upper.st_mode) or stat.S_ISREG(upper.st_mode):
        marks = _marks(here, name)
    return Difference(
        path=path,
        role=_role(here, name, upper, base, marks) if there is not None else Role.INSIDE,
        upper=upper,
        base=base,
        parent=directory.base,
        marks=marks,
        target=os.readlink(name, dir_fd=here) if stat.S_ISLNK(upper.st_mode) else "",
    )


def _role(
    here: int, name: str, upper: os.stat_result, base: os.stat_result | None, marks: tuple[str, ...]
) -> Role:
    if is_whiteout(upper):
        return Role.WHITEOUT
    if not stat.S_ISDIR(upper.st_mode):
        return Role.LEAF
    # A plain new directory has no opaque mark, so "not opaque" does not mean "merged".
    if base is None or not stat.S_ISDIR(base.st_mode):
        return Role.TREE
    return Role.TREE if OPAQUE in marks and is_opaque(here, name) else Role.MERGED


def is_opaque(at: int, name: str) -> bool:
    """Tell whether a directory of the upper hides the project's directory of the same name."""
    try:
        place = f"{by_descriptor(at)}/{name}"
        return os.getxattr(place, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _marks(at: int, name: str) -> tuple[str, ...]:
    try:
        return tuple(os.listxattr(f"{by_descriptor(at)}/{name}", follow_symlinks=False))
    except OSError:
        # A file system without extended attributes has no marks.
        return ()


def _lstat(name: str, at: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None
