"""What becomes of the discarded: a little is deleted at once, the rest by a process that nobody waits for.

A thread would end with the command that has it, and trees of 70,000 entries
would be left until some later command waited for them after all.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable

from cloche.workspace import syscalls
from cloche.workspace.discard import dead_names, remove_tree, sweep, sweep_some
from cloche.workspace.effects import Effects

Collect = Callable[[int], None]
"""Starts a collector for an open state directory and does not wait for it. Raises OSError."""

_AT_ONCE = 256
"""Entries that a close deletes itself; about 20 ms on ext4."""
_MANY = 16
"""Discarded directories that say that collectors do not keep up, or are killed."""
_LOW_BYTES = 2 << 30
_LOW_INODES = 100_000


def is_urgent(state: int) -> bool:
    """Tell whether what was discarded is missed: room is short, or too much of it has gathered."""
    found = os.fstatvfs(state)
    return (
        found.f_bavail * found.f_frsize < _LOW_BYTES
        or (found.f_files > 0 and found.f_favail < _LOW_INODES)  # btrfs counts none
        or len(dead_names(state)) > _MANY
    )


def delete_some(state: int, effects: Effects, collect: Collect) -> None:
    """Delete what is small or urgent, and have the rest deleted by `collect`."""
    if is_urgent(state):
        sweep(state, effects)
    elif sweep_some(state, effects, _AT_ONCE):
        try:
            collect(state)
        except OSError:
            sweep(state, effects)


def collect_all(state: int, effects: Effects) -> None:
    """Delete what was discarded until nothing is left but what resists; one process at a time does."""
    resisted: set[str] = set()
    while names := set(dead_names(state)) - resisted:
        # Looked for again without the lock: what was discarded while we had it, no other took up.
        # Of the directory itself: where a quota is used up no file could be made to lock.
        lock = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=state)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in sorted(names):
                with contextlib.suppress(OSError):
                    remove_tree(state, name, effects)
        except BlockingIOError:
            return
        finally:
            os.close(lock)
        resisted |= names


def main(state: int) -> None:
    """Be a collector: a process that holds an open state directory and nothing else.

    It may be killed at any moment: what it leaves begins with `dead-` still.
    """
    os.nice(19)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # sched(7)
    with contextlib.suppress(OSError):
        syscalls.ioprio_idle()
    collect_all(state, Effects())
