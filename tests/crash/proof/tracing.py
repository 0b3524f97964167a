"""SIGKILL injected by strace at the n-th system call of each name: no hook of ours chooses the moment."""

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Callable

from tests.crash.proof import verdict
from tests.crash.proof.medium import Lacking
from tests.crash.proof.sweep import fresh
from tests.crash.proof.verdict import Tally
from tests.crash.proof.victim import Armed, Trial, run_by

# strace counts `when=` for each name apart, so each name gets a sweep of its own.
NAMES = (
    *("mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("chmod", "fchmod", "fchmodat", "utimensat", "setxattr", "removexattr", "fsync", "syncfs"),
    *("write", "pwrite64", "ftruncate", "linkat", "mknodat", "openat", "openat2"),
)
_ANYBODY = ctypes.c_ulong(-1)
_PR_SET_PTRACER = 0x59616D61  # linux/prctl.h


def killed(trial: Trial, medium: str, names: tuple[str, ...] = NAMES) -> Tally:
    """Kill at call 1, 2, ... of each name until a run survives. Raises Lacking."""
    if shutil.which("strace") is None:
        raise Lacking("strace is not installed")
    tally = Tally(medium, f"{trial.act.value} killed by strace")
    for name in names:
        for number in range(1, 2000):
            ending = run_by(fresh(trial), _traced(name, number))
            if ending.error and not ending.died:
                raise Lacking(ending.error.strip().splitlines()[-1])
            if not ending.died:
                break
            tally.count((name, number), verdict.judge(trial, ending))
    return tally


def _traced(name: str, number: int) -> Callable[[Armed, Callable[[], object]], None]:
    def perform(_armed: Armed, do: Callable[[], object]) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
        rule = f"inject={name}:signal=KILL:when={number}"
        command = [
            "strace",
            "-p",
            str(os.getpid()),
            "-o",
            "/dev/null",
            "-e",
            f"trace={name}",
            "-e",
            rule,
        ]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if not re.search("attached", said):
            raise Lacking(f"strace: {said}")
        do()

    return perform
