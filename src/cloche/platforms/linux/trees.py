"""What only root may open for a program: the user's files, shown as the program's own."""

import contextlib
import errno
import os
from dataclasses import dataclass
from typing import Any

from cloche.platforms.linux.launcher import Launcher
from cloche_launch.sources import Mapper, Sources, shown


async def open_trees(
    operations: list[dict[str, Any]], user: tuple[int, int], launcher: Launcher
) -> Sources | None:  # Any: the launcher's words
    """Open the sources of `operations` for a program that is `user` of the host; the caller closes.

    None for an ordinary user, whose sandbox opens them itself. Raises
    SpawnFailed, and OSError with the path.
    """
    if os.geteuid() != 0:
        return None
    namespaces = Known({})
    for path, mapped, _ in shown(operations):
        with contextlib.suppress(OSError):  # opening it will say what is wrong
            status = os.stat(path)
            owner = (status.st_uid, status.st_gid)
            if mapped:
                namespaces.by_owner[owner] = await launcher.map(owner, user)
    return Sources(operations, Mapper(namespaces, *user))


@dataclass(frozen=True, slots=True)
class Known:
    """The mappings to one user that were asked for: owner to user namespace."""

    by_owner: dict[tuple[int, int], int]

    def get(self, owner: tuple[int, int], host_uid: int, host_gid: int) -> int:
        """See Namespaces. Raises OSError for an owner that has changed since it was looked at."""
        del host_uid, host_gid
        if owner not in self.by_owner:
            raise OSError(errno.ESTALE, "its owner changed while the sandbox was made")
        return self.by_owner[owner]
