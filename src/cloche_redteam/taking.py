"""Taking much for a moment, and giving it back."""

import ctypes
import os
import resource
import signal
import time

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
MUCH = 400 * MIB
"""More than the 256 MiB that a contender with limits is given."""
MANY = 200
"""More than its 64 processes."""
_MOMENT = 1.2  # a watcher, unlike a control group, needs the time between two looks


def hold() -> None:
    """Keep what was taken for as long as a watcher needs to see it."""
    time.sleep(_MOMENT)


def crowd(count: int, work: "Callable[[], None]") -> int:
    """Start `count` children that do `work`, and give how many still live a moment later.

    They end with us, whatever ends us.
    """
    made: list[int] = []
    alive = 0
    try:
        for _ in range(count):
            child = os.fork()
            if child == 0:
                _work(work)
            made.append(child)
        hold()
        alive = sum(os.waitpid(child, os.WNOHANG) == (0, 0) for child in made)
    finally:
        for child in made:
            _end(child)
    return alive


def many_files() -> None:
    """Raise the soft limit of open files, which is ours to raise."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 8_000 if hard == resource.RLIM_INFINITY else min(hard, 8_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def fill(file: int, size: int) -> int:
    """Write `size` bytes, and give them back as a number."""
    block = b"x" * MIB
    for _ in range(size // MIB):
        if os.write(file, block) != MIB:
            raise OSError(28, "no space left")
    return size


def room_for(file: int) -> int:
    """Give how much its file system still takes, in whole MiB and a little less."""
    state = os.fstatvfs(file)
    return max(state.f_bavail * state.f_frsize // MIB - 1, 0) * MIB


def file_systems_in_memory() -> "list[str]":
    """Give the directories of every tmpfs that may be written to."""
    found = []
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        for line in file:
            _, place, kind, *_ = line.split()
            if kind == "tmpfs" and os.path.isdir(place) and os.access(place, os.W_OK):
                found.append(place)
    return found


def _work(work: "Callable[[], None]") -> None:
    try:
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
        work()
    finally:
        os._exit(0)


def _end(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return
