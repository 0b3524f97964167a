"""What is tried inside before every program: all of it is held, and each trial can tell when it is not."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche_launch.trials import BARRIERS, HELD, NOT_HELD, UNABLE

SOURCE = Path(__file__).resolve().parents[2] / "src"
JAIL = Path(__file__).with_name("jail.py")
# A session of its own with a terminal, one descriptor too many, and no sandbox at all.
BARE = """
import json, os, pty, resource, sys
pid, terminal = pty.fork()
if pid:
    said = b""
    try:
        while block := os.read(terminal, 65536):
            said += block
    except OSError:
        pass
    print(said.decode())
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
from cloche_launch import trials
root = os.open("/", os.O_PATH)
extra = os.open("/", os.O_PATH)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
outside = trials.Outside(root, root, sys.argv[1], int(sys.argv[2]))
told = [row for stage in trials.STAGES for row in trials.try_stage(stage, outside)]
print(json.dumps(told))
"""


@pytest.fixture
def canary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cloche-trials-") as name:
        Path(name).chmod(0o755)
        place = Path(name, "canary")
        place.write_text("out of reach")
        yield place


def bare(canary: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(canary), str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SOURCE)},
    )
    return {name: rest for name, *rest in json.loads(done.stdout)}


def test_every_deed_is_held_inside_and_none_is_told_as_the_programs(sandbox: Any) -> None:
    inside = sandbox("/bin/true")
    told = {name: verdict for name, (verdict, _) in inside.trials.items()}
    assert set(told) == {*BARRIERS, "hear-refusals"}
    assert {name for name, verdict in told.items() if verdict == NOT_HELD} == set()
    may_be_unable = {"signal-init", "hear-refusals", "open-vsock", "open-packet-socket"}
    assert {name for name, verdict in told.items() if verdict == UNABLE} <= may_be_unable
    assert inside.events == []


def test_without_rules_of_our_own_the_way_out_is_still_none(sandbox: Any) -> None:
    inside = sandbox("/bin/true", observed=False)
    assert [inside.trials[name][0] for name in ("connect-out", "send-out")] == [HELD, HELD]
    assert inside.trials["hear-refusals"][0] == UNABLE


def test_what_the_program_is_refused_is_told_all_the_same(python: Any) -> None:
    program = "import socket; socket.socket().connect_ex(('192.0.2.1', 9))"
    assert [event["tried"] for event in python(program).events] == ["tcp 192.0.2.1:9"]


def test_each_trial_tells_when_there_is_no_sandbox(canary: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("root: what an ordinary user may not do is held without any sandbox")
    told = bare(canary)
    held = {name for name, (verdict, _) in told.items() if verdict == HELD}
    # A machine without a network, a log device or such a right has nothing to be held.
    absent = {"connect-out", "connect-out-ipv6", "send-out", "open-devices", "open-vsock"}
    for name, path, flags in (
        ("write-sysctl", "/proc/sys/kernel/core_pattern", os.O_WRONLY),
        ("read-init", "/proc/1/environ", os.O_RDONLY),
    ):
        try:
            os.close(os.open(path, flags))
        except OSError:
            absent.add(name)
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    if not capabilities & 1 << 24:  # CAP_SYS_RESOURCE, linux/capability.h
        absent.add("raise-limit")
    assert held <= absent
    assert told["read-canary"] == [NOT_HELD, f"{canary} says 'out of reach'"]


LANDLOCK = ("landlock.py", "calls.syscall(_SYS_RESTRICT, self._descriptor, flags)", "pass")
READ_ONLY = "flags = abi.MS_REMOUNT | abi.MS_BIND | abi.MS_RDONLY |"
REMOVED = (
    (
        "seccomp",
        "make-namespaces",
        ("payload.py", "seccomp.install(seccomp_program)", "pass"),
    ),
    (
        "closed-descriptors",
        "find-descriptors",
        ("payload.py", "calls.close_range(3, report - 1)", "pass"),
    ),
    (
        "mount-namespace",
        "write-system",
        ("mounts.py", READ_ONLY, "flags = abi.MS_REMOUNT | abi.MS_BIND |"),
        LANDLOCK,  # which alone would hold it
    ),
    (
        "pid-namespace",
        "see-processes",
        (
            "payload.py",
            "tried = trials",
            "os.fork() or __import__('time').sleep(9); tried = trials",
        ),
    ),
    ("landlock", "signal-init", LANDLOCK),
    (
        "egress-filter",
        "hear-refusals",
        ("nftables.py", "netlink.transact(messages, count)", "pass"),
    ),
)


@pytest.mark.parametrize("removed", REMOVED, ids=[each[1] for each in REMOVED])
@pytest.mark.parametrize("required", [True, False], ids=["required", "wanted"])
def test_without_the_barrier_the_trial_tells_and_a_required_one_lets_nothing_start(
    removed: tuple[Any, ...], required: bool, tmp_path: Path
) -> None:
    barrier, trial, *edits = removed
    source = tmp_path / "src"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text, replacement in edits:
        changed = source / "cloche_launch" / file
        assert text in changed.read_text()
        changed.write_text(changed.read_text().replace(text, replacement))
    request = {"argv": ["/bin/true"], "required": [barrier] if required else []}
    done = subprocess.run(
        [sys.executable, str(JAIL), json.dumps(request)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if required:
        assert f"CannotConfine: {barrier} is required and not available: {trial}" in done.stderr
    else:
        found = json.loads(done.stdout)["trials"]
        if found[trial][0] == UNABLE:
            pytest.skip(f"{barrier}: {found[trial][1]}")
        assert found[trial][0] == NOT_HELD
