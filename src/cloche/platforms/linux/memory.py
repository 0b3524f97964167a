"""How much memory there is: the machine's, or what the control group we are in leaves of it.

Sources: proc_meminfo(5), the kernel's cgroup-v1/memory and cgroup-v2 documents.
"""

import re
from pathlib import Path

from cloche.platforms.linux.cgroup_files import counter, read_number

_TOTAL = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


def read_memory_bytes() -> int:
    """Give the least of the machine's memory and of every limit above this process."""
    found = _TOTAL.search(Path("/proc/meminfo").read_text())
    assert found is not None, "every Linux has MemTotal"
    own = Path("/proc/self/cgroup").read_text()
    mounts = Path("/proc/self/mounts").read_text()
    return min((int(found[1]) << 10, *_limits_v1(own, mounts), *_limits_v2(own, mounts)))


def _limits_v1(own: str, mounts: str) -> list[int]:
    place = next((p for _, names, p in _lines(own) if "memory" in names.split(",")), None)
    root = next(
        (m for m, kind, options in _mounted(mounts) if kind == "cgroup" and "memory" in options),
        None,
    )
    if place is None or root is None:
        return []
    # One number for the group and all above it; "no limit" is a number above any machine's memory.
    limit = counter(_seen(root, place) / "memory.stat", "hierarchical_memory_limit")
    return [limit] if limit else []


def _limits_v2(own: str, mounts: str) -> list[int]:
    place = next((p for _, names, p in _lines(own) if not names), None)
    root = next((m for m, kind, _ in _mounted(mounts) if kind == "cgroup2"), None)
    if place is None or root is None:
        return []
    here = _seen(root, place)
    above = [p for p in (here, *here.parents) if p.is_relative_to(root)]
    limits = [read_number(directory / "memory.max") for directory in above]
    return [limit for limit in limits if limit]


def _lines(own: str) -> list[tuple[str, str, str]]:
    """Give (hierarchy, controllers, place) of each line of /proc/PID/cgroup. cgroups(7)."""
    parts = (line.split(":", 2) for line in own.splitlines())
    return [(part[0], part[1], part[2]) for part in parts if len(part) == 3]


def _mounted(mounts: str) -> list[tuple[Path, str, list[str]]]:
    fields = (line.split() for line in mounts.splitlines())
    return [(Path(f[1]), f[2], f[3].split(",")) for f in fields if len(f) > 3]


def _seen(root: Path, place: str) -> Path:
    """Give where a group is seen: in a container its place may be named as the host sees it."""
    named = root / place.lstrip("/")
    return named if ".." not in place and named.is_dir() else root
