"""Throwing a directory away: renamed aside at once, deleted when there is time.

What is deleted was written by hostile programs: names are used below open
directories only, no link is followed, and however deep the tree is, nothing
recurses.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Generator, Iterator

from cloche.workspace import layout
from cloche.workspace.effects import Effects
from cloche.workspace.jail import names_in, open_beneath, open_directory

_LIKE_AN_ENTRY = 16 << 20
"""Bytes of a file that take about as long to free as an entry takes to delete."""


def discard(at: int, name: str, effects: Effects, *, into: int | None = None) -> None:
    """Make a directory one that nobody looks at any more: in the state, which is `into` if not `at`."""
    state = at
    if into is not None:
        state = into
        # Another parent is another "..", which takes the right to write to the directory itself: a
        # program may have taken it from the root of the project, which is an upper's.
        os.close(_open(at, name, effects))
    effects.rename(at, name, state, f"{layout.DEAD}{secrets.token_hex(8)}")


def dead_names(state: int) -> list[str]:
    """Give the names of what was discarded and is still there."""
    return [name for name in names_in(state) if name.startswith(layout.DEAD)]


def sweep(state: int, effects: Effects) -> None:
    """Delete what was discarded. What resists is left for the next time."""
    for name in dead_names(state):
        with contextlib.suppress(OSError):
            remove_tree(state, name, effects)


def sweep_some(state: int, effects: Effects, most: int) -> bool:
    """Delete as much of what was discarded as costs about `most` entries; tell whether more waits.

    Counted and not timed, so that the same trees leave the same behind on each machine.
    """
    for name in dead_names(state):
        with (
            contextlib.suppress(OSError),
            contextlib.closing(_removing(state, name, effects)) as steps,
        ):
            for cost in steps:
                most -= cost
                if most < 0:
                    return True
    return False


@contextlib.contextmanager
def opened_own(at: int, name: str, effects: Effects) -> Iterator[int]:
    """Open a directory of our own for the length of a block.

    A program of the landlock tier may have taken its mode away: no later run is to fail on that.
    """
    descriptor = _open(at, name, effects)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def remove_tree(at: int, name: str, effects: Effects) -> None:
    """Delete a directory with everything in it. Two of these may work on one tree at once."""
    for _ in _removing(at, name, effects):
        pass


def _removing(at: int, name: str, effects: Effects) -> Generator[int, None, None]:
    """Delete a directory step by step; yields before each step what it will cost, in entries."""
    root = _open(at, name, effects)
    try:
        # A directory that is not empty is first moved up beside its parent, so
        # the depth of the tree is never the depth of anything here.
        names = names_in(root)
        while names:
            for entry in names:
                with contextlib.suppress(FileNotFoundError):
                    yield from _removing_entry(root, entry, effects)
            names = names_in(root)
    finally:
        os.close(root)
    with contextlib.suppress(FileNotFoundError):
        effects.rmdir(at, name)


def _removing_entry(root: int, name: str, effects: Effects) -> Generator[int, None, None]:
    found = os.stat(name, dir_fd=root, follow_symlinks=False)
    yield _cost(found)
    if not stat.S_ISDIR(found.st_mode):
        effects.unlink(root, name)
        return
    directory = _open(root, name, effects)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                yield _cost(entry.stat(follow_symlinks=False))
                if not entry.is_dir(follow_symlinks=False):
                    effects.unlink(directory, entry.name)
                    continue
                # Moving a directory to another parent changes its "..", which
                # takes the right to write to the directory itself.
                os.close(_open(directory, entry.name, effects))
                effects.rename(directory, entry.name, root, secrets.token_hex(12))
    finally:
        os.close(directory)
    effects.rmdir(root, name)


def _cost(found: os.stat_result) -> int:
    """Give how many small files deleting one takes as long as: its extents have to be freed too."""
    return 1 + found.st_blocks * 512 // _LIKE_AN_ENTRY


def _open(at: int, name: str, effects: Effects) -> int:
    # What is mounted in a directory moves with it, and is not ours to delete: EXDEV leaves it alone.
    descriptor = open_beneath(at, name, os.O_PATH | os.O_DIRECTORY, same_mount=True)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o700 != 0o700:
            with contextlib.suppress(PermissionError):
                effects.chmod(descriptor, 0o700)
        return open_directory(descriptor, "")
    finally:
        os.close(descriptor)
