"""Sandboxes that were made before their plan was known."""

import asyncio
import os
import select
import signal
import socket
from pathlib import Path

import pytest
from tests.contain.jail import plan

from cloche.platforms.linux.launcher import Launcher
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.codec import encode_ground
from cloche.sandbox.features import Feature, Finding
from cloche.sandbox.ground import Ground


async def run_once(platform: LinuxPlatform, stage: Path) -> int:
    process = await platform.spawn(plan(stage, {"argv": ["true"], "observed": False}))
    await process.write_input(b"")
    ended = await process.wait_exited()
    for each in process.sockets.values():
        each.close()
    await process.close()
    return ended.status


def test_a_sandbox_killed_while_it_waited_is_replaced(tmp_path: Path) -> None:
    async def whole() -> tuple[int, int]:
        platform = LinuxPlatform()
        try:
            first = await run_once(platform, tmp_path / "first")
            task = platform._nursery._task
            assert task is not None
            await task
            for waiting in platform._nursery._ready:
                os.kill(waiting.pid, signal.SIGKILL)
                select.select([waiting.pidfd], [], [], 10)  # readable with the death
            return first, await run_once(platform, tmp_path / "second")
        finally:
            await platform.close()

    assert asyncio.run(whole()) == (0, 0)


def test_limits_put_in_force_ahead_give_way_to_those_of_the_plan(tmp_path: Path) -> None:
    async def held(platform: LinuxPlatform, number: int, mib: int) -> list[Finding]:
        request = {"argv": ["true"], "observed": False, "limits": {"memory_bytes": mib << 20}}
        process = await platform.spawn(plan(tmp_path / str(number), request))
        await process.wait_exited()
        await process.close()
        task = platform._nursery._task
        assert task is not None
        await task
        return [f for f in process.report.findings if f.feature is Feature.MEMORY_LIMIT]

    async def whole() -> list[list[Finding]]:
        platform = LinuxPlatform()
        try:
            # The same, then more, then less, then more than any before.
            return [await held(platform, *each) for each in enumerate((256, 256, 512, 128, 900))]
        finally:
            await platform.close()

    found = asyncio.run(whole())
    assert len({each[0].support for each in found}) == 1
    if "read back" in found[0][0].why:
        limits = [int(each[0].why.split(" = ")[1].split(",")[0]) >> 20 for each in found]
        assert limits == [256, 256, 512, 128, 900]


def test_two_kernels_in_one_process_do_not_meet(tmp_path: Path) -> None:
    async def whole() -> tuple[int, int]:
        one, other = LinuxPlatform(ahead=0), LinuxPlatform(ahead=0)
        try:
            sleeps = plan(tmp_path / "sleeps", {"argv": ["sleep", "600"], "observed": False})
            process = await one.spawn(sleeps)
            status = await run_once(other, tmp_path / "runs")
        finally:
            await other.close()
        alive = len(os.listdir(f"/proc/{process.host_pid}/task"))
        await process.close()
        await one.close()
        return status, alive

    assert asyncio.run(whole()) == (0, 1)


def own_unified_group() -> Path:
    """Give a version 2 group that this process may make others in; skips where there is none."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    places = [Path(line.split()[1]) for line in mounts if line.split()[2] == "cgroup2"]
    own = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::"]
    if not places or not own or not os.access(places[0] / own[0][4:], os.W_OK):
        pytest.skip("no version 2 control group that this user may divide")
    return places[0] / own[0][4:]


def test_init_is_made_in_its_group_of_version_2() -> None:
    group = own_unified_group() / f"cloche-test-{os.getpid()}"
    words = encode_ground(
        Ground(mounts=(), observed=False),
        host_uid=os.geteuid() or 0x7000_0000,
        host_gid=os.getegid() or 0x7000_0000,
        group=str(group),
        tasks_files=(),
    )

    async def whole() -> tuple[str, list[str]]:
        launcher = Launcher()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            pid, pidfd = await launcher.prepare(words, theirs.fileno())
            members = (group / "cgroup.procs").read_text().split()
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], 10)
            os.close(pidfd)
            await launcher.close()
        return str(pid), members

    group.mkdir()
    try:
        # Frozen, so that init has not got as far as a child of its own when we look. cgroup-v2.rst
        (group / "cgroup.freeze").write_text("1")
        init, members = asyncio.run(whole())
        assert members == [init], "alone in the group, from its first moment on"
    finally:
        group.rmdir()
