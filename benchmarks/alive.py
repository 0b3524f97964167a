"""A hundred sandboxes alive at once: what each has for itself alone."""

import asyncio
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.peers import bwrap
from benchmarks.spawn import plan
from cloche.platforms.linux.spawn import LinuxPlatform

_MIB = 1 << 20
_MOST = 3 * _MIB  # bytes of private memory
_PROGRAM = ("/usr/bin/sleep", "600")


async def rows(count: int = 100) -> list[Figure]:
    """Count the private pages of every process that is ours, and of the program apart from them."""
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as place:
        Path(place).chmod(0o755)
        return [*await _ours(Path(place), count), await _bwrap(Path(place), count)]


async def _ours(stage: Path, count: int) -> list[Figure]:
    name = f"{count} sandboxes alive, private memory of each"
    if os.geteuid() != 0:
        # An init is not dumpable (15): not even its own user may look.
        return [Figure(name=name, found="not measured: only root may look into a sandbox's init")]
    platform = LinuxPlatform(ahead=0)
    what = plan(stage, _PROGRAM)
    await (await platform.spawn(what)).close()  # the launcher runs from here on
    alive = [await platform.spawn(what) for _ in range(count)]
    try:
        await asyncio.sleep(0.5)  # until the last of them sleeps
        inits = [_private(process.host_pid) for process in alive]
        others = [_children(process.host_pid) for process in alive]
        programs = [_private(pids[-1]) for pids in others]
        more = [sum(map(_private, pids[:-1])) for pids in others]
        counted = [process.usage().memory_bytes or 0 for process in alive]
    finally:
        for process in alive:
            await process.close()
        await platform.close()
    ours = [init + rest for init, rest in zip(inits, more, strict=True)]
    return [
        Figure(
            name=name,
            found=f"{_mib(statistics.median(ours))}, largest {_mib(max(ours))}"
            f" (the program's own {_mib(statistics.median(programs))})",
            target=f"<= {_mib(_MOST)}",
            holds=max(ours) <= _MOST,
        ),
        Figure(
            name="the same, as the control group counts",
            found=f"{_mib(statistics.median(counted))}, with the program and the kernel's memory for all of it",
        ),
    ]


async def _bwrap(stage: Path, count: int) -> Figure:
    name = f"{count} of bwrap alive, private memory of each"
    try:
        argv = bwrap(stage, list(_PROGRAM))
    except LookupError as error:
        return Figure(name=name, found=f"not measured: {error.args[0]}")
    alive = [await asyncio.create_subprocess_exec(*argv, stdin=-3) for _ in range(count)]
    try:
        await asyncio.sleep(0.5)
        found = [_private(process.pid) + _private(_children(process.pid)[-1]) for process in alive]
    except (OSError, LookupError) as error:
        return Figure(name=name, found=f"not measured: {error}")
    finally:
        for process in alive:
            process.kill()
            await process.wait()
    return Figure(
        name=name,
        found=f"{_mib(statistics.median(found))}, largest {_mib(max(found))}",
    )


def _private(pid: int) -> int:
    """Give the bytes that a process shares with no other. proc_pid_smaps_rollup(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _mib(size: float) -> str:
    return f"{size / _MIB:.1f} MiB"
