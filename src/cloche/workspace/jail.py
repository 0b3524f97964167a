"""Opening files below a directory descriptor, so that no link can lead outside.

openat2 resolves a whole path in the kernel; where it is missing (before Linux
5.6, or behind a filter that refuses it) the path is walked part by part with
O_NOFOLLOW, which promises the same for paths without "..", and we make no
others.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cloche.workspace import syscalls

LONGEST_PATH = 4095  # PATH_MAX without its NUL, linux/limits.h

_RESOLVE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The kernel gives EAGAIN when a rename raced with the resolution of a path
# without ".." only under heavy load; the walk then takes over.
_ATTEMPTS = 16
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_TRY_THE_WALK = (errno.ENOSYS, errno.EPERM, errno.EAGAIN)


def open_beneath(root: int, path: str, flags: int, *, same_mount: bool = False) -> int:
    """Open `path` (relative, no "..", "" for the root itself) below `root`, following no link.

    With O_PATH a last part that is a link is opened itself; otherwise a link
    anywhere is ELOOP. `same_mount` refuses to enter another mount with EXDEV.
    """
    extra = syscalls.RESOLVE_NO_XDEV if same_mount else 0
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    if len(os.fsencode(path)) > LONGEST_PATH:
        return _walk(root, path, flags, same_mount=same_mount)
    for _ in range(_ATTEMPTS):
        try:
            return syscalls.openat2(root, path or ".", flags, _RESOLVE | extra)
        except OSError as error:
            if error.errno not in _TRY_THE_WALK:
                raise
            if error.errno != errno.EAGAIN:
                break
    return _walk(root, path, flags, same_mount=same_mount)


def open_directory(root: int, path: str, *, same_mount: bool = False) -> int:
    """Open a directory below `root` for reading its names."""
    return open_beneath(root, path, os.O_RDONLY | os.O_DIRECTORY, same_mount=same_mount)


@contextlib.contextmanager
def opened(root: int, path: str) -> Iterator[int]:
    """Open a directory below `root` for the length of a block."""
    descriptor = open_directory(root, path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def names_in(directory: int) -> list[str]:
    """Give the names in an open directory as they are now.

    os.listdir on a descriptor rewinds at its end and not at its begin, and btrfs shows
    nothing that was made since the last rewind (Linux 6.5): so it is opened anew.
    """
    again = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.listdir(again)
    finally:
        os.close(again)


def status(root: int, path: str) -> os.stat_result | None:
    """Give the lstat of `path` below `root`, None when it or a parent is not there."""
    try:
        descriptor = open_beneath(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def parent_of(path: str) -> str:
    """Give the path of the directory that holds `path`, "" for the root."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """Give the last part of `path`."""
    return path.rpartition("/")[2]


def join(parent: str, name: str) -> str:
    """Put `name` below `parent`."""
    return f"{parent}/{name}" if parent else name


def by_descriptor(descriptor: int) -> str:
    """Give a path that means what `descriptor` has open, for calls that take no O_PATH descriptor."""
    return f"/proc/self/fd/{descriptor}"


def _walk(root: int, path: str, flags: int, *, same_mount: bool) -> int:
    parts = path.split("/") if path else ["."]
    at = root
    try:
        for part in parts[:-1]:
            below = os.open(part, _DIRECTORY, dir_fd=at)
            if at != root:
                os.close(at)
            at = below
        opened = os.open(parts[-1], flags, dir_fd=at)
    finally:
        if at != root:
            os.close(at)
    # Without openat2 a bind mount of the same file system cannot be told apart.
    if same_mount and os.fstat(opened).st_dev != os.fstat(root).st_dev:
        os.close(opened)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    return opened


def read_file(root: Path, path: str, limit: int) -> bytes | None:
    """Read a regular file below `root` through no link; None when absent, other, or too long."""
    try:
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return read_below(top, path, limit)
    finally:
        os.close(top)


def read_below(root: int, path: str, limit: int) -> bytes | None:
    """Read a regular file below an open directory, as `read_file` does below a named one."""
    try:
        descriptor = open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # of a directory fdopen makes an error
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(limit + 1)
    return content if len(content) <= limit else None
