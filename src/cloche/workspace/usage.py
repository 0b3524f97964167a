"""Measuring what a running program wrote: by descriptors, while it may change everything under us."""

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloche.workspace.diff import LONGEST
from cloche.workspace.effects import Effects
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.jail import join, open_beneath, open_directory

_OWNER_READS = 0o500
_BLOCK = 512  # the unit of st_blocks, stat(2), whatever the file system's own
_PRIVATE = 0o700


def measure_private(root: int) -> tuple[int, int]:
    """Measure a directory of our own, whose mode a program of the landlock tier may have taken away."""
    effects = Effects()
    if stat.S_IMODE(os.fstat(root).st_mode) != _PRIVATE:
        effects.chmod(root, _PRIVATE)
    return measure(root, effects)


def measure_place(place: Path) -> tuple[int, int]:
    """Measure a directory of our own by its path. Raises OSError, TreeTooLarge."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return measure_private(descriptor)
    finally:
        os.close(descriptor)


def measure(root: int, effects: Effects) -> tuple[int, int]:
    """Give (bytes on disk, entries) of everything below the directory `root`.

    Raises TreeTooLarge for a path that no commit would take: what lies too
    deep to be named would else be disk that nobody counts. A file without a
    name, deleted and still open, is not seen here.
    """
    used = entries = 0
    waiting = [""]
    while waiting:
        path = waiting.pop()
        if len(os.fsencode(path)) > LONGEST:
            raise TreeTooLarge(path[:200], f"it has paths longer than {LONGEST} bytes")
        for name, found in _entries(root, path, effects):
            used, entries = used + found.st_blocks * _BLOCK, entries + 1
            if stat.S_ISDIR(found.st_mode):
                waiting.append(join(path, name))
    return used, entries


def _entries(root: int, path: str, effects: Effects) -> Iterator[tuple[str, os.stat_result]]:
    with contextlib.ExitStack() as opened:
        try:
            directory = opened.enter_context(_opened(root, path, effects))
        except OSError:
            return  # gone, or another thing by now
        with os.scandir(directory) as found:
            for entry in found:
                try:
                    yield entry.name, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # one that is gone must not hide those behind it


@contextmanager
def _opened(root: int, path: str, effects: Effects) -> Iterator[int]:
    """Open a directory, with the right to list and to search it until the block ends."""
    with contextlib.ExitStack() as after:
        try:
            directory = open_directory(root, path)
            after.callback(os.close, directory)
            os.stat(".", dir_fd=directory)  # to list and to search are two rights
        except PermissionError:
            # Without root a program hides what it wrote by taking its directory's mode away.
            # The kernel itself does: an overlay's work directory has none.
            closed = open_beneath(root, path, os.O_PATH | os.O_DIRECTORY)
            after.callback(os.close, closed)
            mode = stat.S_IMODE(os.fstat(closed).st_mode)
            effects.chmod(closed, mode | _OWNER_READS)
            after.callback(_give_back, closed, mode, effects)
            directory = open_directory(closed, "")
            after.callback(os.close, directory)
        yield directory


def _give_back(directory: int, mode: int, effects: Effects) -> None:
    # A program that has changed it meanwhile is to find what it chose.
    if stat.S_IMODE(os.fstat(directory).st_mode) == mode | _OWNER_READS:
        effects.chmod(directory, mode)
