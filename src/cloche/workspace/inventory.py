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

    A file is what its inode, size, mode and ctime say it is: no program can set a ctime, inode(7).
    One that changed at `stamp` or later, in nanoseconds of the file system's clock, may change once
    more without its ctime showing that, so it makes the digest one of its own. Of what is `hidden`
    only that it is there counts. What cannot be read is passed over. Raises TreeTooLarge, PathBlocked.
    """
    found = hashlib.sha256()
    for path, status in walk_base(base, "", limit=_MOST_ENTRIES):
        found.update(os.fsencode(path) + b"\0")
        if path in hidden:
            fields: tuple[object, ...] = (stat.S_IFMT(status.st_mode),)
        elif stat.S_ISDIR(status.st_mode):
            # Its times also change when an editor makes a file beside one and removes it again.
            fields = (status.st_mode, status.st_ino)
        elif is_edited(status, stamp):
            fields = (secrets.token_hex(16),)
        else:
            fields = (status.st_mode, status.st_ino, status.st_size, status.st_ctime_ns)
        found.update(repr(fields).encode("ascii"))
    return found.hexdigest()
