"""What readers of a project go by: a number that is odd while a commit is applied, and a lock.

A reader without either may see old and new files mixed while a commit is
applied; docs/readers.md says how not to.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from cloche.workspace import layout
from cloche.workspace.effects import Effects

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_PATIENCE = 10.0
"""Seconds that a commit waits for readers: one that hangs must not stop it for good."""
_PAUSE = 0.005


def read_generation(state: int) -> int:
    """Give the number of the project's generation: odd while a commit is, or was left, half applied."""
    try:
        descriptor = os.open(layout.GENERATION, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=state)
    except FileNotFoundError:
        return 0
    try:
        text = os.read(descriptor, 32).strip()
    finally:
        os.close(descriptor)
    return int(text) if text.isdigit() else 0


@contextlib.contextmanager
def opened_state(path: Path) -> Iterator[int]:
    """Open a state directory until the block ends."""
    state = layout.open_private(path)
    try:
        yield state
    finally:
        os.close(state)


@contextlib.contextmanager
def reading(state: int) -> Iterator[None]:
    """Hold the readers' lock, shared, until the block ends; waits while a commit is applied."""
    turn = os.open(layout.TURN, _LOCK_FLAGS, 0o600, dir_fd=state)
    try:
        # A shared flock is given while an exclusive one is waited for: readers that come one after
        # another would keep a commit out for as long as they come. So it waits where they queue.
        fcntl.flock(turn, fcntl.LOCK_SH)
        lock = os.open(layout.READERS, _LOCK_FLAGS, 0o600, dir_fd=state)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            os.close(turn)
            turn = -1
            yield
        finally:
            os.close(lock)
    finally:
        if turn >= 0:
            os.close(turn)


@contextlib.contextmanager
def kept_from_reading(places: layout.Places) -> Iterator[None]:
    """Let readers that take the lock wait until the block ends.

    Goes ahead without the lock when readers hold it for ten seconds: they then see another generation.
    """
    end = time.monotonic() + _PATIENCE
    with contextlib.ExitStack() as held:
        for name in (layout.TURN, layout.READERS):
            lock = os.open(name, _LOCK_FLAGS, 0o600, dir_fd=places.state)
            held.callback(os.close, lock)
            _lock_until(end, lock)
        yield


def begin_generation(state: int, effects: Effects) -> None:
    """Make the generation odd: what is in the project may be a mix from here on."""
    _write(read_generation(state) | 1, state, effects)


def end_generation(state: int, effects: Effects) -> None:
    """Make the generation even, while the journal still stands: a crash then does it again."""
    _write((read_generation(state) | 1) + 1, state, effects)


def _lock_until(end: float, lock: int) -> None:
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return None
        time.sleep(_PAUSE)


def _write(generation: int, state: int, effects: Effects) -> None:
    with contextlib.suppress(FileNotFoundError):
        effects.unlink(state, layout.GENERATION_NEW)
    os.close(effects.create(state, layout.GENERATION_NEW, b"%d\n" % generation))
    try:
        # Not a rename over it: ext4 would write the data out at once (auto_da_alloc, ext4(5)).
        effects.exchange(state, layout.GENERATION_NEW, state, layout.GENERATION)
        effects.unlink(state, layout.GENERATION_NEW)
    except FileNotFoundError:
        effects.rename(state, layout.GENERATION_NEW, state, layout.GENERATION)
