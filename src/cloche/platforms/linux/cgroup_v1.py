"""One sandbox's control groups, version 1: a directory in each controller's tree."""

import contextlib
import os
from pathlib import Path

from cloche.model.limits import LEAST_LIMITS, Limits
from cloche.platforms.linux.cgroup_files import (
    counter,
    kill_members,
    read_number,
    remove_directory,
    write_value,
)
from cloche.sandbox.features import Feature, Finding, Support
from cloche.sandbox.platform import Usage

_PERIOD = 100_000  # microseconds, the kernel's default
# Sandboxes are siblings: with equal weights each gets as much of a full processor as any other, however
# many processes it has. It is the kernel's default; written and read back it is a promise. (sched-design-CFS)
_SHARES = 1024
_CONTROLLERS = ("memory", "pids", "cpu")
_OPTIONAL = ("cpuacct",)
# What sockets hold, read by nobody, is counted apart from memory in version 1 (net/core/sock.c), and
# without a limit of its own not at all: a few thousand connections to oneself took gigabytes. They
# come out of a store that the whole machine shares (net.ipv4.tcp_mem), so the share is small.
_SOCKET_LIMIT = "memory.kmem.tcp.limit_in_bytes"
_SOCKET_SHARE = 8


def find_roots() -> dict[str, Path]:
    """Give the directory of this process in each controller; empty when one is missing."""
    mounts = _mounts()
    places = _own_places()
    roots = {
        name: mounts[name] / places[name].lstrip("/")
        for name in (*_CONTROLLERS, *_OPTIONAL)
        if name in mounts and name in places
    }
    usable = all(name in roots and os.access(roots[name], os.W_OK) for name in _CONTROLLERS)
    return roots if usable else {}


def _mounts() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup":
            found |= {name: Path(place) for name in options.split(",") if name.isalpha()}
    return found


def _own_places() -> dict[str, str]:
    places: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, place = line.split(":", 2)
        places |= dict.fromkeys(names.split(","), place)
    return places


class GroupV1:
    """Limits in force on one directory in each controller."""

    poll_seconds = 0.25
    counted_by = "as the control group counted"
    directory = ""

    def __init__(self, roots: dict[str, Path], name: str) -> None:
        self._paths = {controller: root / name for controller, root in roots.items()}
        self._limits = LEAST_LIMITS
        # Controllers may share one tree, as cpu and cpuacct do where systemd mounts them.
        self._places = tuple(dict.fromkeys(self._paths.values()))
        try:
            for path in self._places:
                path.mkdir()
            write_value(self._paths["cpu"] / "cpu.cfs_period_us", _PERIOD)
        except OSError:
            self.remove()
            raise
        with contextlib.suppress(OSError):  # gone in newer kernels: always on
            write_value(self._paths["memory"] / "memory.use_hierarchy", 1)
        self.tasks_files = tuple(str(path / "tasks") for path in self._places)

    def limit(self, limits: Limits) -> None:
        """See Group."""
        self._limits = limits
        memory, cpu = self._paths["memory"], self._paths["cpu"]
        # Never below the limit of memory alone: in the way when that is raised.
        with contextlib.suppress(OSError):
            write_value(memory / "memory.memsw.limit_in_bytes", -1)
        write_value(memory / "memory.limit_in_bytes", limits.memory_bytes)
        # Memory and swap together, so that swapping is no way around; absent without swap accounting.
        with contextlib.suppress(OSError):
            write_value(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)
        # Absent where the kernel was told not to count sockets; `findings` then says so.
        with contextlib.suppress(OSError):
            write_value(memory / _SOCKET_LIMIT, limits.memory_bytes // _SOCKET_SHARE)
        write_value(self._paths["pids"] / "pids.max", limits.processes)
        write_value(cpu / "cpu.cfs_quota_us", limits.cpu_percent * _PERIOD // 100)
        write_value(cpu / "cpu.shares", _SHARES)

    def findings(self) -> tuple[Finding, ...]:
        """See Group."""
        page = os.sysconf("SC_PAGE_SIZE")
        wanted = (
            (
                Feature.MEMORY_LIMIT,
                "memory",
                "memory.limit_in_bytes",
                self._limits.memory_bytes // page * page,
            ),
            (Feature.PROCESS_LIMIT, "pids", "pids.max", self._limits.processes),
            (
                Feature.CPU_LIMIT,
                "cpu",
                "cpu.cfs_quota_us",
                self._limits.cpu_percent * _PERIOD // 100,
            ),
        )
        findings = []
        for feature, controller, name, value in wanted:
            held = read_number(self._paths[controller] / name)
            support = Support.FULL if held == value else Support.NONE
            why = f"cgroup v1 {name} = {held}, read back"
            if controller == "memory" and support is Support.FULL and not self._counts_sockets():
                support, why = Support.PARTIAL, f"{why}; what sockets hold is not counted"
            if controller == "cpu":
                shares = read_number(self._paths["cpu"] / "cpu.shares")
                why = f"cgroup v1 {name} = {held}, cpu.shares = {shares}, read back"
                if support is Support.FULL and shares != _SHARES:
                    support = Support.PARTIAL
            findings.append(Finding(feature=feature, support=support, why=why))
        return tuple(findings)

    def _counts_sockets(self) -> bool:
        page = os.sysconf("SC_PAGE_SIZE")
        wanted = self._limits.memory_bytes // _SOCKET_SHARE // page * page
        return read_number(self._paths["memory"] / _SOCKET_LIMIT) == wanted

    def usage(self, pid: int, wall_seconds: float) -> Usage:
        """See Group."""
        del pid
        memory, pids = self._paths["memory"], self._paths["pids"]
        cpu = (
            read_number(self._paths["cpuacct"] / "cpuacct.usage")
            if "cpuacct" in self._paths
            else None
        )
        return Usage(
            wall_seconds=wall_seconds,
            cpu_seconds=None if cpu is None else cpu / 1e9,
            memory_bytes=read_number(memory / "memory.usage_in_bytes"),
            memory_peak_bytes=read_number(memory / "memory.max_usage_in_bytes"),
            processes=read_number(pids / "pids.current"),
            processes_peak=read_number(pids / "pids.peak"),
        )

    def exceeded(self, pid: int) -> str:
        """See Group: the kernel holds these limits itself."""
        del pid
        return "memory_bytes" if self._killed_for_memory() else ""

    def breached(self) -> str:
        """See Group."""
        if self._killed_for_memory():
            return "memory_bytes"
        return "processes" if counter(self._paths["pids"] / "pids.events", "max") else ""

    def _killed_for_memory(self) -> bool:
        return bool(counter(self._paths["memory"] / "memory.oom_control", "oom_kill"))

    def kill(self) -> None:
        """See Group."""
        kill_members(self._paths["pids"])

    def remove(self) -> None:
        """See Group."""
        for path in self._places:
            remove_directory(path)
