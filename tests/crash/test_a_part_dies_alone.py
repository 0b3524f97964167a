"""The launcher, or the sandbox's init, killed while a program runs: the run ends, and so does all of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = "echo ready > started; sleep 300; true"


def children(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in tasks.split()]


def descendants(pid: int) -> set[int]:
    found = set(children(pid))
    return found.union(*(descendants(child) for child in found))


def is_shell(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text() == "sh\n"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def run(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    project = tmp_path / "project"
    project.mkdir()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cloche",
            "run",
            "--project",
            str(project),
            "--",
            "sh",
            "-c",
            PROGRAM,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob("state/cloche/projects/*/tx-*/up/started")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    yield process
    process.kill()
    process.communicate()
    assert not list(project.iterdir())


@pytest.mark.parametrize("part", ["launcher", "init"])
def test_the_run_ends_with_the_part_and_nothing_is_left(
    run: "subprocess.Popen[bytes]", part: str
) -> None:
    (launcher,) = children(run.pid)
    everything = descendants(run.pid)
    # Another init may wait there, made ahead for the next run.
    init = next(pid for pid in children(launcher) if any(map(is_shell, children(pid))))
    os.kill(launcher if part == "launcher" else init, signal.SIGKILL)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGKILL, errors.decode()
    assert b"Traceback" not in errors
    until = time.monotonic() + 10
    while left := [pid for pid in everything if is_running(pid)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)
