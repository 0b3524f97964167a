"""One sandbox's control group, version 2, below a directory that was delegated to this user."""

import contextlib
import os
from pathlib import Path

from cloche.model.limits import LEAST_LIMITS, Limits
from cloche.platforms.linux.cgroup_files import counter, read_number, remove_directory, write_value
from cloche.sandbox.features import Feature, Finding, Support
from cloche.sandbox.platform import Usage

_NEEDED = ("memory", "pids", "cpu")
_PERIOD = 100_000  # microseconds


def find_root() -> dict[str, Path]:
    """Give the nearest directory above this process that this user may make groups in."""
    mount = next(
        (
            Path(line.split()[1])
            for line in Path("/proc/self/mounts").read_text().splitlines()
            if line.split()[2] == "cgroup2"
        ),
        None,
    )
    own = next(
        (
            line[3:]
            for line in Path("/proc/self/cgroup").read_text().splitlines()
            if line.startswith("0::")
        ),
        None,
    )
    if mount is None or own is None:
        return {}
    # Processes may not sit beside child groups with controllers: the parent of ours is asked first.
    place = mount / own.lstrip("/")
    for candidate in (place.parent, place):
        if candidate.is_relative_to(mount) and _enabled(candidate):
            return {"unified": candidate}
    return {}


def _enabled(directory: Path) -> bool:
    if not os.access(directory / "cgroup.subtree_control", os.W_OK):
        return False
    available = (directory / "cgroup.controllers").read_text().split()
    if not all(name in available for name in _NEEDED):
        return False
    with contextlib.suppress(OSError):
        (directory / "cgroup.subtree_control").write_text(" ".join(f"+{n}" for n in _NEEDED))
    enabled = (directory / "cgroup.subtree_control").read_text().split()
    return all(name in enabled for name in _NEEDED)


class GroupV2:
    """Limits in force on one directory."""

    poll_seconds = 0.25
    counted_by = "as the control group counted"
    tasks_files: tuple[str, ...] = ()

    def __init__(self, root: Path, name: str) -> None:
        self._path = root / name
        self._limits = LEAST_LIMITS
        self._path.mkdir()
        self.directory = str(self._path)

    def limit(self, limits: Limits) -> None:
        """See Group."""
        self._limits = limits
        write_value(self._path / "memory.max", limits.memory_bytes)
        with contextlib.suppress(OSError):
            write_value(self._path / "memory.swap.max", 0)
        # One process too many takes the whole sandbox: half a build is no build.
        write_value(self._path / "memory.oom.group", 1)
        write_value(self._path / "pids.max", limits.processes)
        write_value(self._path / "cpu.max", f"{self._quota()} {_PERIOD}")

    def _quota(self) -> int:
        return self._limits.cpu_percent * _PERIOD // 100

    def findings(self) -> tuple[Finding, ...]:
        """See Group."""
        page = os.sysconf("SC_PAGE_SIZE")
        wanted = (
            (Feature.MEMORY_LIMIT, "memory.max", str(self._limits.memory_bytes // page * page)),
            (Feature.PROCESS_LIMIT, "pids.max", str(self._limits.processes)),
            (Feature.CPU_LIMIT, "cpu.max", f"{self._quota()} {_PERIOD}"),
        )
        findings = []
        for feature, name, value in wanted:
            held = (self._path / name).read_text().strip()
            support = Support.FULL if held == value else Support.NONE
            why = f"cgroup v2 {name} = {held}, read back"
            findings.append(Finding(feature=feature, support=support, why=why))
        return tuple(findings)

    def usage(self, pid: int, wall_seconds: float) -> Usage:
        """See Group."""
        del pid
        return Usage(
            wall_seconds=wall_seconds,
            cpu_seconds=counter(self._path / "cpu.stat", "usage_usec") / 1e6,
            memory_bytes=read_number(self._path / "memory.current"),
            memory_peak_bytes=read_number(self._path / "memory.peak"),
            processes=read_number(self._path / "pids.current"),
            processes_peak=read_number(self._path / "pids.peak"),
        )

    def exceeded(self, pid: int) -> str:
        """See Group: the kernel holds these limits itself."""
        del pid
        return "memory_bytes" if counter(self._path / "memory.events", "oom_kill") else ""

    def breached(self) -> str:
        """See Group."""
        if counter(self._path / "memory.events", "oom_kill"):
            return "memory_bytes"
        return "processes" if counter(self._path / "pids.events", "max") else ""

    def kill(self) -> None:
        """See Group. cgroup.kill: Linux 5.14; before it, the pid namespace's end does the same."""
        with contextlib.suppress(OSError):
            (self._path / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """See Group."""
        remove_directory(self._path)
