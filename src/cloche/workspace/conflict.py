"""Did the user change what the transaction changed? Pure, from times that cannot be set back.

ctime is set by the kernel at every change and cannot be chosen by anybody,
so `touch -d` after an edit hides nothing. `stamp` is the begin of the
transaction by the clock of the same file system.
"""

import os
import stat
from collections.abc import Iterator

from cloche.workspace.diff import OPAQUE, ORIGIN, Difference, Role, walk_base

_GIT = ".git"


def is_edited(found: os.stat_result, stamp: int) -> bool:
    """Tell whether this changed at `stamp` or later."""
    return found.st_ctime_ns >= stamp


def conflicts(found: Difference, stamp: int) -> bool:
    """Tell whether the project's entry changed under this difference.

    What lies below a directory that is replaced or deleted is not looked at here.
    """
    if found.role is Role.INSIDE:
        return False
    if found.role is Role.MERGED:
        return is_swapped(found, stamp) or _is_mode_disputed(found, stamp)
    if found.base is None:
        return found.role is not Role.WHITEOUT and _is_removed(found, stamp)
    # A directory's own ctime also changes when something beside our work is
    # made in it, so for directories the walk below decides.
    return not stat.S_ISDIR(found.base.st_mode) and is_edited(found.base, stamp)


def is_swapped(found: Difference, stamp: int) -> bool:
    """Tell whether another directory may have been renamed to this place."""
    if found.parent is None or found.base is None or not is_edited(found.base, stamp):
        return False
    if found.parent.st_mtime_ns < stamp:
        return False
    # Renaming changes the ctime of what is renamed and leaves its mtime, except
    # on xfs. In the root somebody's editor always makes files, so there both
    # signs are asked for; deeper one is enough.
    return "/" in found.path or found.base.st_mtime_ns < stamp


def edited_elsewhere(base: int, stamp: int, owned: frozenset[str], limit: int) -> Iterator[str]:
    """Give what changed since `stamp` in the whole project, tools' own trees and `.git` left out.

    Of a deleted file the directory that held it is given. Raises TreeTooLarge beyond `limit`.
    """

    def is_passed(path: str) -> bool:
        return path in owned or path.rpartition("/")[2] == _GIT

    for path, found in walk_base(base, "", limit=limit, passes=is_passed):
        if is_edited(found, stamp):
            yield path or "."


def _is_mode_disputed(found: Difference, stamp: int) -> bool:
    if found.base is None or not is_edited(found.base, stamp):
        return False
    return stat.S_IMODE(found.upper.st_mode) != stat.S_IMODE(found.base.st_mode)


def _is_removed(found: Difference, stamp: int) -> bool:
    """Tell whether the user deleted what this was copied up from.

    `origin` belongs to the inode, so a new hard link to a copied-up file has
    it as well; a parent that the user did not touch clears that.
    """
    return (
        ORIGIN in found.marks
        and OPAQUE not in found.marks
        and found.parent is not None
        and found.parent.st_mtime_ns >= stamp
    )
