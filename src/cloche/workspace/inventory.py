"""One digest of a whole project, from what the kernel keeps of each entry; no content is read."""

import hashlib
import os
import secrets
import stat

from cloche.workspace.conflict import is_edited
from cloche.workspace.diff import walk_base

_MOST_ENTRIES = 4_000_000


def digest_project(base: int, stamp: int, hidden: frozenset[str]) -> str:
    """Give a digest that is the same again only while nothing in the project is another.

    An entry is what its inode, size, mode and ctime say it is: no program can set a ctime, inode(7).
    Of a directory it also tells of a rename: of two that were swapped and swapped back no file does.
    One that changed at `stamp` or later, in nanoseconds of the file system's clock, may change once
    more without its ctime showing that, so it makes the digest one of its own; so does a directory
    that can be entered and not listed. Of what is `hidden` only that it is there counts. Raises
    TreeTooLarge, PathBlocked.
    """
    found = hashlib.sha256()
    for path, status in walk_base(base, "", limit=_MOST_ENTRIES):
        found.update(os.fsencode(path) + b"\0")
        if path in hidden:
            fields: tuple[object, ...] = (stat.S_IFMT(status.st_mode),)
        elif is_edited(status, stamp) or _is_secretive(status):
            fields = (secrets.token_hex(16),)
        else:
            fields = (status.st_mode, status.st_ino, status.st_size, status.st_ctime_ns)
        found.update(repr(fields).encode("ascii"))
    return found.hexdigest()


def _is_secretive(found: os.stat_result) -> bool:
    """Tell whether a program may use what is in a directory by name, and we cannot see its names."""
    is_shut = os.geteuid() != 0 and not found.st_mode & stat.S_IRUSR
    return is_shut and stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_IXUSR)
