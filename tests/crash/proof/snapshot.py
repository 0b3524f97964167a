"""What a tree is: names, types, content, modes, link groups, times to the nanosecond, attributes."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from tests.crash.proof.overlay import enter_namespace, in_child

Snapshot = dict[bytes, tuple[Any, ...]]  # Any: each kind of entry has its own facts


def take(root: Path) -> Snapshot:
    """Give everything below `root` and the root itself, whatever modes hide it."""
    if os.geteuid() == 0:
        return look(root)

    def run() -> Snapshot:
        enter_namespace()
        return look(root)

    result: Snapshot = in_child(run)
    return result


def look(root: Path) -> Snapshot:
    """Give the same as far as the caller may read."""
    found: Snapshot = {}
    groups: dict[int, list[bytes]] = {}
    top = os.fsencode(root)
    for directory, names, files in os.walk(top, onerror=_fail):
        here = [] if directory != top else [top]
        for path in here + [os.path.join(directory, name) for name in names + files]:
            status = os.lstat(path)
            name = os.path.relpath(path, top)
            found[name] = (status.st_mode, status.st_mtime_ns, *_facts(path, status))
            if not stat.S_ISDIR(status.st_mode):
                groups.setdefault(status.st_ino, []).append(name)
    for members in groups.values():
        for name in members:
            found[name] += (tuple(sorted(members)),)
    return found


def differences(found: Snapshot, wanted: Snapshot) -> list[str]:
    """Give what differs, as text."""
    names = sorted(found.keys() | wanted.keys())
    return [
        f"{name!r}: {found.get(name)} and not {wanted.get(name)}"
        for name in names
        if found.get(name) != wanted.get(name)
    ]


def _facts(path: bytes, status: os.stat_result) -> tuple[Any, ...]:
    marks = tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(os.listxattr(path, follow_symlinks=False))
        if name.startswith("user.")
    )
    if stat.S_ISLNK(status.st_mode):
        return marks, os.readlink(path)
    if not stat.S_ISREG(status.st_mode):
        return (marks,)
    with open(path, "rb") as file:
        first = os.lseek(file.fileno(), 0, os.SEEK_DATA) if status.st_size > 1 << 16 else 0
        file.seek(0)
        return marks, first, status.st_size, hashlib.sha256(file.read()).digest()


def _fail(error: OSError) -> None:
    raise error
