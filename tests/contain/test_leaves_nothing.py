"""Many sandboxes, one after the other and all at once: afterwards the machine is as it was."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.contain.jail import plan

from cloche.platforms.linux.cgroup import Owner
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.plan import SandboxPlan

MIB = 1 << 20


def held() -> dict[str, int]:
    """Count what a sandbox could leave with us: descriptors, children, groups, namespaces."""
    groups = [
        name
        for _, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if (owner := Owner.find_in(name)) and owner.pid == os.getpid()
    ]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "children": len(children),
        "groups": len(groups),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
    }


async def once(platform: LinuxPlatform, what: SandboxPlan) -> int:
    process = await platform.spawn(what)
    await process.write_input(b"")
    ended = await process.wait_exited()
    for each in process.sockets.values():
        each.close()
    await process.close()
    return ended.status


@pytest.mark.slow
def test_hundreds_in_a_row_leave_nothing(tmp_path: Path) -> None:
    async def row(count: int) -> set[int]:
        platform = LinuxPlatform()
        try:
            return {await once(platform, plan(tmp_path, {"argv": ["true"]})) for _ in range(count)}
        finally:
            await platform.close()

    assert asyncio.run(row(3)) == {0}  # what is made once and kept is there from here on
    before = held()
    assert asyncio.run(row(300)) == {0}
    assert held() == before


@pytest.mark.slow
def test_a_hundred_at_once_are_small_and_end_together(tmp_path: Path) -> None:
    async def crowd() -> list[int]:
        platform = LinuxPlatform()
        try:
            stages = [plan(tmp_path / str(n), {"argv": ["sleep", "600"]}) for n in range(100)]
            alive = [await platform.spawn(stage) for stage in stages]
            private = [private_bytes(process.host_pid) for process in alive]
            for process in alive:
                for each in process.sockets.values():
                    each.close()
                await process.close()
            return private
        finally:
            await platform.close()

    before = held()
    sizes = asyncio.run(crowd())
    assert held() == before
    if os.geteuid() == 0:  # only root may look into what is not dumpable
        assert max(sizes) < 3 * MIB, "an init is to be small: most of it is shared with the zygote"


def private_bytes(pid: int) -> int:
    """Give what a process has for itself alone. proc_pid_smaps_rollup(5)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))
