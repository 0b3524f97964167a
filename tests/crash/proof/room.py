"""A disk that is really full, from any change on: survived without room, finished once there is some."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from tests.crash.proof import verdict
from tests.crash.proof.medium import mounted
from tests.crash.proof.sweep import calls, fresh
from tests.crash.proof.verdict import Tally
from tests.crash.proof.victim import UNTYPED, Act, Armed, Trial, recover, run

from cloche.errors import ClocheError
from cloche.workspace.effects import Before

_HOG = "hog"


def full(kind: str, act: Act = Act.COMMIT) -> Tally:
    """Fill the disk before change 1, 2, ... of the act. Raises Lacking."""
    tally = Tally(kind, f"{act.value}, disk full")
    without = 0
    with mounted(kind, mebibytes=24) as medium:
        trial = Trial(root=medium.root / "x", act=act)
        hog = medium.root / _HOG
        for number in range(1, calls(trial) + 1):
            hog.unlink(missing_ok=True)
            ending = run(fresh(trial), _fill_at(number, hog))
            if ending.status == UNTYPED:
                tally.count(number, f"no typed error: {ending.error[-600:]}")
                continue
            with contextlib.suppress(ClocheError, OSError):
                recover(trial)
                without += verdict.compare(verdict.take(trial.project), ending) in (
                    "before",
                    "after",
                )
            hog.unlink(missing_ok=True)
            tally.count(number, verdict.judge(trial, ending))
    tally.note = f"{without} of {tally.points} recovered with no room at all"
    return tally


def _fill_at(number: int, hog: Path) -> Callable[[Armed], Before]:
    def make(armed: Armed) -> Before:
        def before(_call: str, _detail: str) -> None:
            if armed.calls == number:
                _fill(hog)

        return before

    return make


def _fill(hog: Path) -> None:
    os.sync()
    descriptor = os.open(hog, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(descriptor, b"x" * size)
    finally:
        os.close(descriptor)
