"""What one step may consume. Every field is a ceiling; none may be left open."""

from dataclasses import dataclass, fields

from cloche.errors import InvalidValue

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Ceilings of one step; every one is positive, so "no limit" cannot be said."""

    wall_seconds: float
    """Time from start to end; at the end of it the whole tree of processes is killed."""
    idle_seconds: float
    """Time without output and without use of the processor."""
    memory_bytes: int
    """Resident memory with tmpfs, memfd and page cache that cannot be dropped."""
    cpu_percent: int
    """100 is one processor."""
    processes: int
    """Processes and threads together, as the kernel's pids controller counts them."""
    open_files: int
    file_bytes: int
    """The longest single file that may be written (RLIMIT_FSIZE)."""
    disk_bytes: int
    """All that the step may add to the transaction."""
    inodes: int
    output_bytes: int
    """Standard output and standard error together; the rest is read and thrown away."""
    network_bytes: int
    """Both directions, all hosts together."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise InvalidValue(field.name, getattr(self, field.name), "a number above 0")

    def capped_by(self, ceiling: "Limits") -> "Limits":
        """Give the stricter of the two, field by field: narrowing never widens."""
        return Limits(
            **{f.name: min(getattr(self, f.name), getattr(ceiling, f.name)) for f in fields(self)}
        )


def _limits(
    wall: float, memory: int, tasks: int, disk: int, inodes: int, cpu: int, network: int = 1
) -> Limits:
    return Limits(
        wall_seconds=wall,
        idle_seconds=min(wall, 180.0),
        memory_bytes=memory,
        cpu_percent=cpu,
        processes=tasks,
        open_files=4096,
        file_bytes=min(disk, 4 * GIB),
        disk_bytes=disk,
        inodes=inodes,
        output_bytes=16 * MIB,
        network_bytes=network,
    )


# Measured peaks of real tools with three- to sixfold headroom: docs/limits.md.
LIMIT_CLASSES: dict[str, Limits] = {
    # Its network is for asking where a registry keeps its packages.
    "tool": _limits(20, 512 * MIB, 64, 64 * MIB, 5_000, 100, 16 * MIB),
    "lock": _limits(120, GIB, 64, GIB, 50_000, 100, 512 * MIB),
    "fetch": _limits(300, 3 * GIB // 2, 64, 4 * GIB, 300_000, 200, 2 * GIB),
    "materialise": _limits(180, 3 * GIB // 2, 64, 4 * GIB, 300_000, 200),
    "rebuild": _limits(600, 2 * GIB, 256, 2 * GIB, 100_000, 200),
    "build": _limits(300, 3 * GIB, 256, 2 * GIB, 100_000, 200),
    "compile": _limits(1200, 4 * GIB, 256, 8 * GIB, 200_000, 400),
    "test": _limits(300, 2 * GIB, 256, GIB, 100_000, 200),
    "preview": _limits(8 * 3600, 2 * GIB, 256, GIB, 100_000, 200),
    "package": _limits(300, GIB, 64, 4 * GIB, 100_000, 100),
    "run": _limits(3600, 4 * GIB, 512, 8 * GIB, 500_000, 400, 2 * GIB),
}
"""Named ceilings that providers refer to; a policy may lower them, never raise them."""

DEFAULT_SANDBOXES = 32
"""How many sandboxes of a user run at once where a policy says nothing."""

LEAST_LIMITS = Limits(
    wall_seconds=1,
    idle_seconds=1,
    memory_bytes=64 << 20,
    cpu_percent=50,
    processes=16,
    open_files=16,
    file_bytes=1,
    disk_bytes=1,
    inodes=1,
    output_bytes=1,
    network_bytes=1,
)
"""What holds where nothing was said yet: hardly anything."""


def size_in_words(size: int) -> str:
    """Give `size`, in bytes, as people read it: 512 MiB, 3.0 GiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{-(-size // MIB)} MiB"
