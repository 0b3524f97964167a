"""`cloche run` interrupted several times at twenty moments, also amid its commit: before or after, never between."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

CLOCHE = (sys.executable, "-m", "cloche")
FILES = 1500
WORK = f"i=0; while [ $i -lt {FILES} ]; do : > file$i; i=$((i+1)); done"


def cloche(home: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*CLOCHE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(home / "state")},
    )


def finish(home: Path, *arguments: str) -> None:
    process = cloche(home, *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def test_interrupts_leave_all_or_nothing_and_it_is_said_which(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    run = ("run", "--project", str(project), "--", "sh", "-c", WORK)
    began = time.monotonic()
    finish(tmp_path, *run)
    whole = time.monotonic() - began
    finish(tmp_path, "undo", str(project))
    chance = random.Random(5)
    for number in range(20):
        process = cloche(tmp_path, *run)
        time.sleep(whole * (number + chance.random()) / 20)
        for _ in range(chance.randint(2, 6)):  # also while it already ends
            process.send_signal(signal.SIGINT)
            time.sleep(chance.random() / 50)
        _, errors = process.communicate(timeout=60)
        made = len(list(project.iterdir()))
        assert made in (0, FILES), "torn"
        # An interrupt may come before Python has come to us, which it answers with a traceback.
        assert process.returncode in (0, 130, -signal.SIGINT), errors.decode()
        assert b"Traceback" not in errors or process.returncode == -signal.SIGINT
        assert bool(made) == (b"committed" in errors), errors.decode()
        finish(tmp_path, "recover", str(project))
        if made:
            finish(tmp_path, "undo", str(project))
    assert not list((tmp_path / "state").rglob("tx-*"))
