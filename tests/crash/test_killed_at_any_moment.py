"""`cloche ship` killed with SIGKILL at ten moments: before or after, and nothing left behind."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cloche_launch
from cloche.platforms.linux.cgroup import Owner

CLOCHE = (sys.executable, "-m", "cloche")
LAUNCHER = os.fsencode(Path(cloche_launch.__path__[0]))
OURSELVES = Owner.read(os.getpid())
OUTPUTS = {"artifacts", "dist", "node_modules", "tsconfig.tsbuildinfo"}


def cloche(home: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*CLOCHE, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(home / "state")},
    )


def finish(home: Path, *arguments: str) -> None:
    process = cloche(home, *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def sources(project: Path) -> dict[str, str]:
    return {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(project.rglob("*"))
        if path.is_file() and path.relative_to(project).parts[0] not in OUTPUTS
    }


def remains(started: set[int]) -> set[str]:
    """Give what a jar would leave on the host: processes, mounts and groups of what we started.

    Others may use Cloche on this machine meanwhile: what is theirs is no remains of ours.
    """
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if LAUNCHER in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(f"process {pid}")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found |= {line.split()[4] for line in mounts if "cloche" in line.split()[4]}
    for root, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            owner = Owner.find_in(name)
            if owner and owner.pid in started and owner.namespace == OURSELVES.namespace:
                found.add(f"{root}/{name}")
    return found


@pytest.mark.registry
def test_the_project_is_before_or_after_and_nothing_is_left(tmp_path: Path) -> None:
    project = tmp_path / "app"
    finish(tmp_path, "scaffold", "react-ts", str(project))
    original = sources(project)
    began = time.monotonic()
    finish(tmp_path, "ship", str(project))
    whole = time.monotonic() - began
    finish(tmp_path, "undo", str(project))
    started: set[int] = set()
    there_before = remains(started)
    chance = random.Random(4)
    ends = set()
    for number in range(10):
        process = cloche(tmp_path, "ship", str(project))
        started.add(process.pid)
        time.sleep(whole * (number + chance.random()) / 10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finish(tmp_path, "recover", str(project))
        made = {path.name for path in project.iterdir()} & OUTPUTS
        assert sources(project) == original
        assert made in (set(), OUTPUTS), "torn"
        ends.add(bool(made))
        if made:
            finish(tmp_path, "undo", str(project))
        until = time.monotonic() + 10
        while (left := remains(started) - there_before) and time.monotonic() < until:
            time.sleep(0.1)
        assert not left
    stray = list((tmp_path / "state").rglob("tx-*"))
    assert not stray
    assert False in ends
