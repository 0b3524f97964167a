"""Where no control group can be had: a sandbox's processes counted from outside, and killed in time.

PARTIAL by its nature: between two looks a program may go over, and memory in
tmpfs is bounded only by the size of each tmpfs.
"""

import contextlib
import os
import time
from pathlib import Path

from cloche.model.limits import LEAST_LIMITS, Limits
from cloche.sandbox.features import Feature, Finding, Support
from cloche.sandbox.platform import Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_QUICKEST, _SLOWEST = 0.02, 0.25
_SHARE = 0.04  # of one processor that looking may cost
_MEND = "start it with systemd-run --user --scope --property=Delegate=yes, or as root"


class Watcher:
    """A Group made of looking."""

    directory = ""
    tasks_files: tuple[str, ...] = ()
    counted_by = "as the watcher counted"

    def __init__(self) -> None:
        self._limits = LEAST_LIMITS
        self._peak = (0, 0)
        self._cpu = 0.0
        self._over = ""
        self.poll_seconds = _QUICKEST

    def limit(self, limits: Limits) -> None:
        """See Group."""
        self._limits = limits

    def findings(self) -> tuple[Finding, ...]:
        """See Group."""
        why = "no control group: a watcher counts 4 to 50 times a second and kills"
        few = "no control group: RLIMIT_NPROC, and the watcher"
        none = "no control group: the processor is shared fairly, not limited"
        return (
            Finding(feature=Feature.MEMORY_LIMIT, support=Support.PARTIAL, why=why, mend=_MEND),
            Finding(feature=Feature.PROCESS_LIMIT, support=Support.PARTIAL, why=few, mend=_MEND),
            Finding(feature=Feature.CPU_LIMIT, support=Support.NONE, why=none, mend=_MEND),
        )

    def usage(self, pid: int, wall_seconds: float) -> Usage:
        """See Group. Processor time of processes that ended between two looks is missed."""
        memory, processes, cpu = sample(pid)
        self._peak = (max(self._peak[0], memory), max(self._peak[1], processes))
        self._cpu = max(self._cpu, cpu)
        return Usage(
            wall_seconds=wall_seconds,
            cpu_seconds=self._cpu,
            memory_bytes=memory,
            memory_peak_bytes=self._peak[0],
            processes=processes,
            processes_peak=self._peak[1],
        )

    def exceeded(self, pid: int) -> str:
        """See Group."""
        began = time.monotonic()
        memory, processes, _ = sample(pid)
        cost = time.monotonic() - began
        self.poll_seconds = min(max(cost / _SHARE, _QUICKEST), _SLOWEST)
        self._peak = (max(self._peak[0], memory), max(self._peak[1], processes))
        self._over = self._over or verdict(memory, processes, self._limits)
        return self._over

    def breached(self) -> str:
        """See Group."""
        return self._over

    def kill(self) -> None:
        """See Group: killing init is what ends the pid namespace; there is nothing to add."""

    def remove(self) -> None:
        """See Group: there is nothing to remove."""


def verdict(memory_bytes: int, processes: int, limits: Limits) -> str:
    """Name the limit that is exceeded, "" when none is."""
    if processes >= limits.processes:
        return "processes"
    return "memory_bytes" if memory_bytes > limits.memory_bytes else ""


def sample(pid: int) -> tuple[int, int, float]:
    """Give (resident bytes, threads, processor seconds) of a process and all its descendants."""
    memory = threads = 0
    ticks = 0
    pending = [pid]
    while pending and threads < 100_000:
        current = pending.pop()
        try:
            fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
            pending += children(current)
        except (OSError, ValueError):
            continue
        # proc(5): utime, stime, cutime, cstime are fields 14-17, num_threads 20, rss 24
        ticks += sum(int(field) for field in fields[11:15])
        threads += int(fields[17])
        memory += int(fields[21]) * _PAGE
    return memory, threads, ticks / _TICKS


def count_tasks(uid: int) -> int:
    """Count the threads of all processes of a user, as RLIMIT_NPROC does. getrlimit(2)."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{name}/task"))
    return count


def children(pid: int) -> list[int]:
    """Give the children of every thread: any thread may have forked."""
    return [
        int(child)
        for task in os.listdir(f"/proc/{pid}/task")
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    ]
