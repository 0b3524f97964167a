"""What only a machine of one's own can be asked: run by pytest in the guest, never on a host.

Whoever runs it may write to the group that its sandboxes' groups are made in.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contain.jail import plan

from cloche.platforms.linux.cgroup import CgroupHome, Owner, open_cgroups
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.platform import Exit


def own_group() -> str:
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


@pytest.mark.parametrize(
    ("controller", "limit"),
    [("cpu", "cpu_percent"), ("pids", "processes"), ("memory", "memory_bytes")],
)
def test_a_limit_that_somebody_takes_away_ends_the_sandbox(
    controller: str, limit: str, tmp_path: Path
) -> None:
    async def take() -> Exit:
        platform = LinuxPlatform(ahead=0)
        control = platform._groups()._roots["unified"] / "cgroup.subtree_control"
        try:
            what = plan(tmp_path, {"argv": ["sleep", "600"], "limits": {"wall_seconds": 60}})
            process = await platform.spawn(what)
            control.write_text(f"-{controller}")
            ended = await process.wait_exited()
            for each in process.sockets.values():
                each.close()
            await process.close()
            return ended
        finally:
            control.write_text(f"+{controller}")
            await platform.close()

    ended = asyncio.run(take())
    assert ended.limit == limit
    assert "took" in ended.detail


def test_a_second_kernel_beside_the_first_has_groups_too() -> None:
    ours = open_cgroups()
    program = "from cloche.platforms.linux.cgroup import open_cgroups; print(open_cgroups().kind)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (ours.kind, done.stdout) == ("v2", "v2\n")


def test_who_is_asked_twice_stays_where_it_is() -> None:
    open_cgroups()
    place = own_group()
    open_cgroups()
    assert own_group() == place


def test_the_groups_of_a_dead_kernel_are_removed_and_no_others() -> None:
    home = open_cgroups()
    root = home._roots["unified"]
    with subprocess.Popen(["true"]) as dead:
        pass
    stale = root / Owner(namespace=home._owner.namespace, pid=dead.pid, start="1").label(0, 0)
    others = root / "somebody-elses"
    alive = Path(home.create().directory)
    for path in (stale, others):
        path.mkdir()
    victim = subprocess.Popen(["sleep", "600"])
    try:
        (stale / "cgroup.procs").write_text(str(victim.pid))
        assert CgroupHome("v2", {"unified": root}).remove_stale() == 1
        assert victim.wait() != 0
        assert (stale.exists(), others.exists(), alive.exists()) == (False, True, True)
    finally:
        victim.kill()
        victim.wait()
        others.rmdir()
        home.close()
    assert not alive.exists()
