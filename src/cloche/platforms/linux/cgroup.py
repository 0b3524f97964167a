"""Control groups: found by doing, set and read back, gone when the sandbox is.

Sources: the kernel's cgroup-v1 and cgroup-v2 documents.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

from cloche.model.limits import LEAST_LIMITS, Limits
from cloche.platforms.linux import cgroup_v1, cgroup_v2
from cloche.platforms.linux.cgroup_files import kill_all, remove_directory
from cloche.platforms.linux.watcher import Watcher
from cloche.sandbox.features import Feature, Finding, Support
from cloche.sandbox.platform import Usage

_HOMES = count()  # of this process, which may have several kernels
_NAME = re.compile(r"cloche\.(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)-\d+-\d+")
_MEND = (
    "start it with systemd-run --user --scope --property=Delegate=yes, or as root, so that limits "
    "are the kernel's own"
)


class Group(Protocol):
    """What holds a sandbox's memory, processor and number of processes."""

    directory: str
    """Of version 2: the group that init is made in; "" elsewhere."""
    tasks_files: tuple[str, ...]
    """Of version 1: where init itself writes that it belongs here; none elsewhere."""
    poll_seconds: float
    """How long to wait between two calls of `exceeded`."""
    counted_by: str
    """Who found that a limit was exceeded, for the reader of the report."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The kernel process that made a group: one for ever, and known beyond its own container."""

    namespace: str
    """The inode of its pid namespace: a container that shares our tree of groups counts its own pids."""
    pid: int
    start: str

    @classmethod
    def read(cls, pid: int) -> "Owner":
        """Look at a process of our own pid namespace; `start` is "" when it is gone."""
        namespace = os.readlink("/proc/self/ns/pid").removeprefix("pid:[").removesuffix("]")
        return cls(namespace=namespace, pid=pid, start=_start_time(pid))

    @classmethod
    def find_in(cls, name: str) -> "Owner | None":
        """Give who made the group called `name`, None when it is not one of ours."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        return cls(namespace=found["namespace"], pid=int(found["pid"]), start=found["start"])

    def label(self, home: int, number: int) -> str:
        """Name group `number` of this owner's `home`."""
        return f"cloche.{self.namespace}-{self.pid}-{self.start}-{home}-{number}"

    def is_dead(self, now: "Owner") -> bool:
        """Compare with what `read` finds at the same pid `now`.

        Of another pid namespace nothing can be told, so nothing is said: its
        sandboxes are alive as far as we know, and killing them is not ours.
        """
        return self.namespace == now.namespace and self.start != now.start


class CgroupHome:
    """Where this kernel makes its groups, or the knowledge that it cannot."""

    def __init__(self, kind: str, roots: dict[str, Path]) -> None:
        self.kind = kind
        self._roots = roots
        self._owner = Owner.read(os.getpid())
        self._number = next(_HOMES)
        self._numbers = count()

    def create(self) -> Group:
        """Make a group without limits yet, or a watcher where there can be none."""
        label = self._owner.label(self._number, next(self._numbers))
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
        return self._remove(_is_stale)

    def close(self) -> None:
        """Remove what this kernel still has, should a sandbox have failed to."""
        prefix = self._owner.label(self._number, 0)[:-1]
        self._remove(lambda name: name.startswith(prefix))

    def _remove(self, chosen: Callable[[str], bool]) -> int:
        removed = 0
        for root in self._roots.values():
            for path in root.iterdir():
                if chosen(path.name):
                    kill_all(path)
                    remove_directory(path)
                    removed += 1
        return removed


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


def _is_stale(name: str) -> bool:
    owner = Owner.find_in(name)
    return owner is not None and owner.is_dead(Owner.read(owner.pid))


def _start_time(pid: int) -> str:
    """Give field 22 of /proc/PID/stat: with the pid it names one process for ever; "" when gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]
