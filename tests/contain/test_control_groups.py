"""A sandbox's control group as the kernel shows it: in force, read back, gone with the sandbox. (17)-(19)"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.contain.jail import plan

from cloche.platforms.linux.cgroup import Owner
from cloche.platforms.linux.process import LinuxProcess
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.features import Feature, Support

MIB = 1 << 20
LIMITS = {"memory_bytes": 96 * MIB, "processes": 33, "cpu_percent": 70}
# By version: what the kernel shows for LIMITS, with the weight that every sandbox has.
SHOWN = {
    "v1": {
        "memory.limit_in_bytes": str(96 * MIB),
        "pids.max": "33",
        "cpu.cfs_quota_us": "70000",
        "cpu.shares": "1024",
    },
    "v2": {
        "memory.max": str(96 * MIB),
        "memory.oom.group": "1",
        "pids.max": "33",
        "cpu.max": "70000 100000",
        "cpu.weight": "100",
    },
}
LIMITED = (Feature.MEMORY_LIMIT, Feature.PROCESS_LIMIT, Feature.CPU_LIMIT)


@asynccontextmanager
async def sleeping(stage: Path) -> AsyncIterator[LinuxProcess]:
    platform = LinuxPlatform(ahead=0)
    try:
        if platform._groups().kind == "none":
            pytest.skip("memory-limit: this user can make no control group on this machine")
        what = plan(stage, {"argv": ["sleep", "600"], "limits": LIMITS, "observed": False})
        process = await platform.spawn(what)
        try:
            yield process
        finally:
            for each in process.sockets.values():
                each.close()
            await process.close()
    finally:
        await platform.close()


def groups_of(pid: int) -> list[Path]:
    """Give the directories of a process's groups, wherever their trees are mounted; ours alone."""
    places = {
        line.split(":", 2)[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    }
    names = {Path(place).name for place in places if Owner.find_in(Path(place).name)}
    return [path for name in names for path in Path("/sys/fs/cgroup").rglob(name)]


def version() -> str:
    return "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"


def test_the_kernel_shows_the_limits_of_the_plan(tmp_path: Path) -> None:
    async def read() -> dict[str, str]:
        async with sleeping(tmp_path) as process:
            assert [process.report.support(each) for each in LIMITED] == [Support.FULL] * 3
            files = [file for group in groups_of(process.host_pid) for file in group.iterdir()]
            return {f.name: f.read_text().strip() for f in files if f.name in SHOWN[version()]}

    assert asyncio.run(read()) == SHOWN[version()]


def test_what_is_used_is_counted(tmp_path: Path) -> None:
    async def count() -> None:
        async with sleeping(tmp_path) as process:
            usage = process.usage()
            assert usage.cpu_seconds is not None
            assert 0 < (usage.memory_bytes or 0) < 96 * MIB
            for _ in range(200):  # the process that started the program ends beside it
                if process.usage().processes == 2:
                    return
                await asyncio.sleep(0.02)
            raise AssertionError(f"{process.usage().processes} processes besides init and program")

    asyncio.run(count())


def test_a_closed_sandbox_leaves_no_group(tmp_path: Path) -> None:
    async def made_and_closed() -> list[Path]:
        async with sleeping(tmp_path) as process:
            made = groups_of(process.host_pid)
            assert made
        return made

    assert not [group for group in asyncio.run(made_and_closed()) if group.exists()]
