"""A project directory as it lies on disk, seen through no link: for detection."""

import errno
import os
from fnmatch import fnmatchcase
from pathlib import Path

from cloche.runtimes.project import MANIFEST_BYTES
from cloche.workspace.jail import read_file

_MOST_ENTRIES = 20_000
_NOT_FOR_US = (errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
NOT_SOURCES = frozenset({"node_modules", ".git", "target", "dist"})


class DirectoryView:
    """A ProjectView over the user's own tree, outside any transaction."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, pattern: str, *, limit: int = 1000) -> tuple[str, ...]:
        """Give names of regular files that match, sorted; stops looking after many entries."""
        found: list[str] = []
        pending, seen = [""], 0
        while pending and seen < _MOST_ENTRIES:
            relative = pending.pop()
            for entry in entries_of(self._root / relative):
                seen += 1
                name = f"{relative}/{entry.name}" if relative else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in NOT_SOURCES:
                        pending.append(name)
                elif entry.is_file(follow_symlinks=False) and fnmatchcase(name, pattern):
                    found.append(name)
        return tuple(sorted(found)[:limit])

    def read(self, name: str, *, limit: int = MANIFEST_BYTES) -> bytes | None:
        """Give a regular file's whole content, or None."""
        return read_file(self._root, name, limit)


def entries_of(directory: Path) -> list[os.DirEntry[str]]:
    """Give what is in a directory; nothing where it is shut, gone or too deep: nothing can be built of that."""
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError as error:
        if error.errno not in _NOT_FOR_US:
            raise
        return []
