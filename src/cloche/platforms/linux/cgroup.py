"""Control groups: found by doing, set and read back, gone when the sandbox is.

Sources: the kernel's cgroup-v1 and cgroup-v2 documents.
"""

import os
from itertools import count
from pathlib import Path
from typing import Protocol

from cloche.model.limits import LEAST_LIMITS, Limits
from cloche.platforms.linux import cgroup_v1, cgroup_v2
from cloche.platforms.linux.cgroup_files import kill_all, remove_directory
from cloche.platforms.linux.watcher import Watcher
from cloche.sandbox.features import Feature, Finding, Support
from cloche.sandbox.platform import Usage

_PREFIX = "cloche-"
_MEND = "run under systemd with a delegated group, or as root, so that limits are the kernel's own"


class Group(Protocol):
    """What holds a sandbox's memory, processor and number of processes."""

    procs_files: tuple[str, ...]
    poll_seconds: float
    """How long to wait between two calls of `exceeded`."""

    def limit(self, limits: Limits) -> None:
        """Put `limits` in force. Raises OSError; `findings` reads them back."""
        ...

    def usage(self, pid: int, wall_seconds: float) -> Usage:
        """Read the counters."""
        ...

    def exceeded(self, pid: int) -> str:
        """Name the limit that a poll finds exceeded, "" where the kernel itself holds it."""
        ...

    def breached(self) -> str:
        """Name the limit that the kernel's own counters say was reached, ""."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """Say what truly holds, after reading it back."""
        ...

    def kill(self) -> None:
        """Kill what is left in it."""
        ...

    def remove(self) -> None:
        """Remove it; blocks until its processes are gone, for two seconds at most."""
        ...


class CgroupHome:
    """Where this kernel makes its groups, or the knowledge that it cannot."""

    def __init__(self, kind: str, roots: dict[str, Path]) -> None:
        self.kind = kind
        self._roots = roots
        self._numbers = count()
        self._owner = f"{_PREFIX}{os.getpid()}-{_start_time(os.getpid())}"

    def create(self) -> Group:
        """Make a group without limits yet, or a watcher where there can be none."""
        label = f"{self._owner}-{next(self._numbers)}"
        if self.kind == "v1":
            return cgroup_v1.GroupV1(self._roots, label)
        if self.kind == "v2":
            return cgroup_v2.GroupV2(self._roots["unified"], label)
        return Watcher()

    def findings(self) -> tuple[Finding, ...]:
        """Say what a sandbox will be held by on this machine."""
        if self.kind == "none":
            why = "no control group can be made here: counted by a watcher 4 to 50 times a second"
            return (
                *tuple(
                    Finding(feature=feature, support=Support.PARTIAL, why=why, mend=_MEND)
                    for feature in (Feature.MEMORY_LIMIT, Feature.PROCESS_LIMIT)
                ),
                Finding(
                    feature=Feature.CPU_LIMIT,
                    support=Support.NONE,
                    why="no control group can be made here",
                    mend=_MEND,
                ),
            )
        return tuple(
            Finding(feature=feature, support=Support.FULL, why=f"cgroup {self.kind}, read back")
            for feature in (Feature.MEMORY_LIMIT, Feature.CPU_LIMIT, Feature.PROCESS_LIMIT)
        )

    def remove_stale(self) -> int:
        """Remove the groups of kernels that are dead, with what is in them; give how many."""
        removed = 0
        for root in self._roots.values():
            for path in root.glob(f"{_PREFIX}*"):
                pid, start = path.name.removeprefix(_PREFIX).split("-")[:2]
                if _start_time(int(pid)) == start:
                    continue
                kill_all(path)
                remove_directory(path)
                removed += 1
        return removed

    def close(self) -> None:
        """Remove what this kernel still has, should a sandbox have failed to."""
        for root in self._roots.values():
            for path in root.glob(f"{self._owner}-*"):
                kill_all(path)
                remove_directory(path)


def open_cgroups() -> CgroupHome:
    """Find out by making a group what this process may use: v2, else v1, else none."""
    for kind, find in (("v2", cgroup_v2.find_root), ("v1", cgroup_v1.find_roots)):
        roots = find()
        if not roots:
            continue
        home = CgroupHome(kind, roots)
        try:
            group = home.create()
        except OSError:
            continue
        try:
            group.limit(LEAST_LIMITS)
        except OSError:
            continue
        finally:
            group.remove()
        home.remove_stale()
        return home
    return CgroupHome("none", {})


def _start_time(pid: int) -> str:
    """Give field 22 of /proc/PID/stat: with the pid it names one process for ever; "" when gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]
