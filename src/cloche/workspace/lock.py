"""One writer a project: a lock that dies with its holder."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from cloche.workspace import layout
from cloche.workspace.effects import Effects
from cloche.workspace.errors import WorkspaceBusy

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class WriterLock:
    """The project's writer lock, held from its making until `release`.

    It is a flock, so the kernel drops it when the holder dies; whoever can
    take it knows that no transaction of anybody else is alive.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, places: layout.Places, effects: Effects) -> None:
        """Take the lock. Raises WorkspaceBusy, naming the holder, without waiting."""
        descriptor = os.open(layout.LOCK, _LOCK_FLAGS, 0o600, dir_fd=places.state)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(os.pread(descriptor, 64, 0))
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise WorkspaceBusy(str(places.project_path), holder) from error
            raise
        self._descriptor = descriptor
        try:
            # The holder's name is for people. The lock holds without it, and recovery must work
            # on a full disk.
            with contextlib.suppress(OSError):
                effects.overwrite(descriptor, f"{os.getpid()} {_started('self')}\n".encode())
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let the next writer in; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def find_holder(places: layout.Places) -> int:
    """Give the pid of who took the lock last, 0 when it is gone or not known."""
    try:
        descriptor = os.open(layout.LOCK, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=places.state)
    except OSError:
        return 0
    try:
        return _holder(os.pread(descriptor, 64, 0))
    finally:
        os.close(descriptor)


def _holder(content: bytes) -> int:
    """Give the pid that wrote the lock file, 0 when it is not that process any more."""
    fields = content.decode("ascii", "replace").split()
    if len(fields) != 2 or not fields[0].isdecimal():
        return 0
    # A pid is used again; with its start time it is one process only. The lock
    # may be held by a process in another pid namespace, which we cannot name.
    return int(fields[0]) if _started(fields[0]) == fields[1] else 0


def _started(pid: str) -> str:
    """Give when a process started, in clock ticks since boot, "" when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is the name in parentheses, which may hold anything; the
    # start time is field 22, proc(5).
    return text.rpartition(")")[2].split()[19]
