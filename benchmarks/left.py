"""A thousand sandboxes, one after the other: what is there afterwards that was not there before."""

import asyncio
import ctypes
import os
import tempfile
from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.spawn import plan, runner
from cloche.platforms.linux.cgroup import Owner
from cloche.platforms.linux.spawn import LinuxPlatform

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PATIENCE = 200  # looks, a twentieth of a second apart: some ends come a moment later
_REST = 1.0  # seconds
_OBJECTS = ("net_namespace", "user_namespace", "pid_namespace", "mnt_cache", "task_struct")


async def rows(count: int = 1000) -> list[Figure]:
    """Count before, with a kernel that has run a few, and after as many more as `count`."""
    # Whoever loses its parent becomes our child, so that nothing can hide with pid 1.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as place:
        Path(place).chmod(0o755)
        nothing = _held(Path(place))
        platform = LinuxPlatform(ahead=0)
        run = runner(platform, plan(Path(place), ("/usr/bin/true",)))
        try:
            for _ in range(5):
                await run()
            await asyncio.sleep(_REST)  # the last of these is still being taken down
            before = _held(Path(place))
            objects = _objects()
            for _ in range(count):
                await run()
            after = await _settled(Path(place), before)
            grown = {name: _objects()[name] - each for name, each in objects.items()}
        finally:
            await platform.close()
        closed = await _settled(Path(place), nothing)
    return [
        _figure(f"{count:,} spawns, left by the living kernel", before, after),
        _figure("the same, left after it has closed", nothing, closed),
        Figure(
            name="the same, objects in the kernel of the whole machine",
            found=", ".join(f"{name} {each:+}" for name, each in grown.items())
            or "not measured: only root may read /proc/slabinfo",
        ),
    ]


def _figure(name: str, before: dict[str, int], after: dict[str, int]) -> Figure:
    more = {what: after[what] - before.get(what, 0) for what in after}
    return Figure(
        name=name,
        found=", ".join(f"{what} {number}" for what, number in more.items()),
        target="0 each",
        holds=not any(number > 0 for number in more.values()),
    )


async def _settled(stage: Path, wanted: dict[str, int]) -> dict[str, int]:
    """Count until nothing is left over, for ten seconds at most."""
    found = _held(stage)
    for _ in range(_PATIENCE):
        if all(found[what] <= number for what, number in wanted.items()):
            break
        await asyncio.sleep(0.05)
        found = _held(stage)
    return found


def _held(stage: Path) -> dict[str, int]:
    """Count what belongs to this process and to all below it."""
    family = _family(os.getpid())
    groups = (
        name
        for _, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if (owner := Owner.find_in(name)) and owner.pid == os.getpid()
    )
    return {
        "processes": len(family) - 1,
        "namespaces": len({each for pid in family for each in _links(pid, "ns")}),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "control groups": sum(1 for _ in groups),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "the launcher's descriptors": sum(len(_links(pid, "fd")) for pid in family[1:]),
        "files": sum(len(names) for _, *lists in os.walk(stage) for names in lists),
    }


def _family(pid: int) -> list[int]:
    """Give a process and all its descendants, the ones that wait to be reaped too."""
    found = [pid]
    for each in found:
        try:
            tasks = os.listdir(f"/proc/{each}/task")
            for task in tasks:
                children = Path(f"/proc/{each}/task/{task}/children").read_text().split()
                found += [int(child) for child in children]
        except OSError:
            continue
    return found


def _links(pid: int, name: str) -> list[str]:
    directory, found = f"/proc/{pid}/{name}", []
    try:
        for each in os.listdir(directory):
            found.append(os.readlink(f"{directory}/{each}"))  # noqa: PERF401 - what was found stays
    except OSError:
        pass
    return found


def _objects() -> dict[str, int]:
    """Give the kernel's own counts; others work on the machine, and freed ones go a moment later."""
    try:
        lines = Path("/proc/slabinfo").read_text().splitlines()
    except OSError:
        return {}
    counts = {line.split()[0]: int(line.split()[1]) for line in lines[2:]}
    return {name: counts[name] for name in _OBJECTS if name in counts}
