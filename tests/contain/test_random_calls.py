"""Random system calls inside change nothing of the host; and whatever would be changed would be seen.

The second half proves the first: in namespaces of its own a process changes one
thing of each kind, or has the kernel's word on it covered by another, and the
watch must say so.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contain.disturbances import DISTURBANCES, NAMESPACES
from tests.fuzz import calls, host
from tests.fuzz.canary import Canary, laid_out
from tests.fuzz.inside import table
from tests.fuzz.watch import Watch

from cloche.platforms.linux.cgroup import open_cgroups
from cloche_launch import abi, profile
from cloche_launch.calls import SyscallFailed, mount, unshare
from cloche_launch.sources import DEVICES

SECONDS = 6.0
# (the file, what it says, and what then) without the barrier; without the read-back that would notice.
REMOVED = {
    "5-ipc-namespace": ("cloche_launch/zygote.py", "    | abi.CLONE_NEWIPC\n", ""),
    "25-transaction-overlay": (
        "cloche_launch/mounts.py",
        'calls.mount("overlay", place, "overlay", flags, f"{data},volatile")',
        'calls.mount(lowers.split(":")[-1], place, None, abi.MS_BIND)',
    ),
    "2-devices": (
        "cloche_launch/mounts.py",
        "calls.mount_setattr(tree, abi.MOUNT_ATTR_RDONLY | _ONLY_DEVICES)",
        "pass",
    ),
}
UNCHECKED = (
    "cloche/platforms/linux/spawn.py",
    "    found = {finding.feature: finding for finding in findings}\n",
    "    return\n",
)


def test_nothing_of_the_host_changes(start: tuple[tuple[str, ...], str]) -> None:
    if not os.path.exists(calls.PYTHON):
        pytest.skip(f"needs {calls.PYTHON}, which the sandbox shows")
    jail, source = start
    seed = secrets.token_hex(4)
    found = calls.fuzz(jail, source, seconds=SECONDS, seed=seed)
    assert found.changes == [], f"again: python -m tests.fuzz.calls {SECONDS} {seed}"
    assert found.distinct("succeeded") > 50, found.lines()
    assert {end for end in found.foreign if "came back" in end} == set(), found.lines()


@pytest.mark.parametrize("barrier", REMOVED)
def test_a_barrier_that_is_not_there_is_found(
    barrier: str, start: tuple[tuple[str, ...], str]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("root: what such a sandbox makes would stay on the machine, not in a namespace")
    jail, source = start
    with tempfile.TemporaryDirectory(prefix="cloche-removed-") as name:
        copy = Path(name)
        copy.chmod(0o755)
        shutil.copytree(
            source or calls.ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__")
        )
        for file, text, replacement in (REMOVED[barrier], UNCHECKED):
            content = (copy / "src" / file).read_text()
            assert text in content, f"{file} no longer says {text!r}"
            (copy / "src" / file).write_text(content.replace(text, replacement))
        said = json.dumps([jail, str(copy / "src")])
        changes = told("removed", said)
    facets = {
        "5-ipc-namespace": "objects",
        "25-transaction-overlay": "files",
        "2-devices": "devices",
    }
    assert any(f"{facets[barrier]}: " in change for change in changes), changes


def test_every_call_of_the_profile_has_arguments_of_its_own() -> None:
    allowed = {name for group in profile.ALLOWED.values() for name in group.split()}
    judged = {
        "clone",
        "socket",
        "socketpair",
        "setrlimit",
        "prlimit64",
        "ioctl",
        "prctl",
        "personality",
    }
    named = allowed | judged | set(profile.NOT_PERMITTED) | set(profile.NOT_THERE)
    assert set(table.rows()) == named


def outcome(facet: str, act: Callable[[Canary], object]) -> list[str]:
    """Change one thing in namespaces of one's own, and give what the watch says."""
    with laid_out((sys.executable,)) as canary:
        watch = Watch({facet: {**host.machine(), **canary.facets()}[facet]})
        act(canary)
        if os.fork() == 0:  # in the namespace of time that may have been made
            until = time.monotonic() + 10
            while not (changes := watch.changes()) and time.monotonic() < until:
                os.sched_yield()
            os.write(1, json.dumps(changes).encode())
            os._exit(0)
        os.wait()
        return []


def alone_with_objects_and_devices() -> None:
    """Have what a sandbox without a barrier changes be nobody else's. Needs root."""
    unshare(abi.CLONE_NEWIPC | abi.CLONE_NEWNS)
    mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)
    nodes = {name: os.stat(f"/dev/{name}") for name in DEVICES}
    mount("tmpfs", "/dev", "tmpfs", 0, "mode=0755")
    for name, seen in nodes.items():
        os.mknod(f"/dev/{name}", seen.st_mode, seen.st_rdev)
        os.chmod(f"/dev/{name}", seen.st_mode & 0o777)


def alone() -> None:
    """Become a process that can change nothing of the host. Raises OSError."""
    uid, gid, rights = os.geteuid(), os.getegid(), NAMESPACES
    if uid != 0:
        unshare(rights | abi.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    else:
        unshare(rights)
    mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)


def told(*arguments: str) -> list[str]:
    """Run this file with these arguments in a process that can change nothing of the host."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contain.test_random_calls", *arguments],
        cwd=calls.ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    changes: list[str] = json.loads(done.stdout)
    return changes


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_change_would_be_seen(name: str) -> None:
    facet, _, named = DISTURBANCES[name]
    changes = told(name)
    assert [change for change in changes if change.startswith(f"{facet}: ") and named in change], (
        changes
    )


def test_a_change_of_the_system_would_be_seen() -> None:
    with tempfile.TemporaryDirectory() as place:
        began = time.time() - 1
        Path(place, "file").touch()
        assert host.system_files(began, (place,)) == [f"system: '{place}/file': changed"]
        assert host.system_files(began + 3600, (place,)) == []


def test_what_the_kernel_complains_of_is_told_from_what_a_program_writes() -> None:
    records = [
        "4,1,2,-;WARNING: CPU: 0 PID: 1",
        "12,2,3,-;WARNING: by a program",
        "6,3,4,-;traps: WARNING:[7] general protection fault ip:0 error:0 in libc.so.6",
    ]
    assert list(host.trouble(iter(records))) == ["record 1"]


def test_what_a_sandbox_left_would_be_seen() -> None:
    own = os.readlink("/proc/self/ns/pid")
    assert any(f"process {os.getpid()}:" in line for line in calls.remains(-1, {own}))
    assert calls.remains(-1, {"pid:[1]"}) == []
    home = open_cgroups()
    try:
        if home.kind == "none":
            pytest.skip("cgroup: this user can make no group on this machine")
        made = home.create()
        assert any("group" in line for line in calls.remains(os.getpid(), set()))
        made.remove()
    finally:
        home.close()


def main(name: str, *more: str) -> None:
    """Print what the watch says of a disturbance, or of a sandbox that lacks a barrier."""
    if name == "removed":
        alone_with_objects_and_devices()
        jail, source = json.loads(more[0])
        print(json.dumps(calls.fuzz(tuple(jail), source, seconds=SECONDS, seed=name).changes))
        return
    try:
        alone()
    except SyscallFailed as refused:
        print(f"user-namespace: {refused}", file=sys.stderr)
        sys.exit(77)
    outcome(*DISTURBANCES[name][:2])


if __name__ == "__main__":
    main(*sys.argv[1:])
