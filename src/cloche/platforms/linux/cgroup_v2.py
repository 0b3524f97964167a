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
_WEIGHT = 100  # the middle of 1 to 10000: sandboxes side by side get equal shares of a busy machine
_ASIDE = "cloche.host"
# What each limit is kept in. The file is gone when whoever is above takes the controller away.
_FILES = {"memory_bytes": "memory.max", "processes": "pids.max", "cpu_percent": "cpu.max"}


def find_root() -> dict[str, Path]:
    """Give the nearest directory that this user may make groups in.

    A group whose children have controllers can hold no process itself ("no
    internal processes", Documentation/admin-guide/cgroup-v2.rst). So where this
    process is alone in a group that was handed to it, as systemd's Delegate=yes
    does, it steps aside into the child `cloche.host` and stays there: going back
    would take the controllers from every sandbox below. Beside others nothing of
    theirs is moved: the group above is asked.
    """
    found = _find_place()
    if found is None:
        return {}
    top, place = found
    # One's own first: what is above belongs to whoever handed this one over, systemd for one,
    # which takes controllers back that none of its own units needs.
    order = (place.parent, place) if place.name == _ASIDE else (place, place.parent)
    for candidate in order:
        if candidate.is_relative_to(top) and _is_ours(candidate) and _enable(candidate, place):
            return {"unified": candidate}
    return {}


def _find_place() -> tuple[Path, Path] | None:
    """Give (where the tree of groups is mounted, the directory of this process in it)."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    if own is None or ".." in own.split("/"):
        return None  # without version 2, or outside of what this namespace shows
    # proc_pid_mountinfo(5): what part of the tree is mounted is field 4, where 5, the type follows "-"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        part, top = fields.split()[3:5]
        # A container may be shown a part of the tree alone, also one that it is not in.
        if rest.startswith("cgroup2 ") and Path(own).is_relative_to(part):
            return Path(top), Path(top) / Path(own).relative_to(part)
    return None


def _is_ours(directory: Path) -> bool:
    """Tell whether this user may make a group here, and move a process of this one into it.

    For the second, both groups' nearest common one must be writable ("delegation containment").
    """
    files = (directory, directory / "cgroup.subtree_control", directory / "cgroup.procs")
    if not all(os.access(file, os.W_OK) for file in files):
        return False
    available = (directory / "cgroup.controllers").read_text().split()
    return all(name in available for name in _NEEDED)


def _enable(directory: Path, place: Path) -> bool:
    """Give controllers to the children of `directory`; `place` is where this process is."""
    if _try_enable(directory):
        return True
    if directory != place:
        return False
    aside = place / _ASIDE
    try:
        aside.mkdir(exist_ok=True)
        write_value(aside / "cgroup.procs", os.getpid())
    except OSError:
        return False
    if _try_enable(directory):
        return True
    with contextlib.suppress(OSError):  # others are there too
        write_value(place / "cgroup.procs", os.getpid())
        aside.rmdir()
    return False


def _try_enable(directory: Path) -> bool:
    file = directory / "cgroup.subtree_control"
    if not set(_NEEDED) <= set(file.read_text().split()):
        with contextlib.suppress(OSError):
            write_value(file, " ".join(f"+{name}" for name in _NEEDED))
    return set(_NEEDED) <= set(file.read_text().split())


class GroupV2:
    """Limits in force on one directory."""

    poll_seconds = 0.25
    tasks_files: tuple[str, ...] = ()

    def __init__(self, root: Path, name: str) -> None:
        self.counted_by = "as the control group counted"
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
        write_value(self._path / "cpu.weight", _WEIGHT)

    def _quota(self) -> int:
        return self._limits.cpu_percent * _PERIOD // 100

    def findings(self) -> tuple[Finding, ...]:
        """See Group."""
        page = os.sysconf("SC_PAGE_SIZE")
        memory = {"memory.max": str(self._limits.memory_bytes // page * page)}
        if (self._path / "memory.swap.max").exists():
            memory["memory.swap.max"] = "0"
        return (
            self._read_back(Feature.MEMORY_LIMIT, memory),
            self._read_back(Feature.PROCESS_LIMIT, {"pids.max": str(self._limits.processes)}),
            self._read_back(
                Feature.CPU_LIMIT,
                {"cpu.max": f"{self._quota()} {_PERIOD}", "cpu.weight": str(_WEIGHT)},
            ),
        )

    def _read_back(self, feature: Feature, wanted: dict[str, str]) -> Finding:
        """Compare files with what they should hold; without the first there is no limit at all."""
        held = {name: (self._path / name).read_text().strip() for name in wanted}
        right = [held[name] == value for name, value in wanted.items()]
        support = Support.FULL if all(right) else Support.PARTIAL if right[0] else Support.NONE
        shown = ", ".join(f"{name} = {value}" for name, value in held.items())
        return Finding(feature=feature, support=support, why=f"cgroup v2 {shown}, read back")

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
        """See Group: the kernel holds these limits itself, for as long as nobody takes them away."""
        del pid
        if counter(self._path / "memory.events", "oom_kill"):
            return "memory_bytes"
        for limit, name in _FILES.items():
            if not (self._path / name).exists():
                self.counted_by = f"when somebody above took {name} away from the control group"
                return limit
        return ""

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
