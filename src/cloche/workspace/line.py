"""The line of those who wait for a project's writer lock: in order, and without the dead."""

import contextlib
import fcntl
import os
import secrets
import time
from dataclasses import dataclass

from cloche.workspace.effects import Effects
from cloche.workspace.jail import names_in

WAITING = "wait-"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterTurn:
    """Where one who waits stands: `position` counts from 1, `pid` holds the lock (0: not known)."""

    position: int
    pid: int


class WriterLine:
    """A place in the line, once joined: a file of the state directory that its owner holds a flock on.

    Names begin with the time at which they came, in nanoseconds of this boot, so the order is that of
    arrival. The flock dies with its holder, and whoever comes across the name then removes it.
    """

    __slots__ = ("_effects", "_name", "_state", "_ticket")

    def __init__(self, state: int, effects: Effects) -> None:
        self._state, self._effects = state, effects
        self._name, self._ticket = "", -1

    def join(self) -> None:
        """Stand at the end of the line; harmless when repeated. Raises OSError."""
        while self._ticket < 0:
            name = f"{WAITING}{time.monotonic_ns():020d}-{secrets.token_hex(4)}"
            ticket = self._effects.create(self._state, name, b"")
            try:
                fcntl.flock(ticket, fcntl.LOCK_EX)
                if os.fstat(ticket).st_nlink:
                    self._name, self._ticket = name, ticket
                    return
            except BaseException:
                os.close(ticket)
                raise
            os.close(ticket)  # taken for a dead one's in the moment before it was locked

    def ahead(self) -> int:
        """Count those before us, all when we have not joined; forgets the dead."""
        names = sorted(name for name in names_in(self._state) if name.startswith(WAITING))
        return sum(self._lives(name) for name in names if not self._name or name < self._name)

    def leave(self) -> None:
        """Give the place up; harmless when repeated."""
        if self._ticket < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            self._effects.unlink(self._state, self._name)
        os.close(self._ticket)
        self._name, self._ticket = "", -1

    def _lives(self, name: str) -> bool:
        try:
            ticket = os.open(name, _OPEN, dir_fd=self._state)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(ticket, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            with contextlib.suppress(FileNotFoundError):
                self._effects.unlink(self._state, name)
            return False
        finally:
            os.close(ticket)
