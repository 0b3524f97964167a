"""`python -m tests.crash.proof [--seeds N] [--on KIND...]`: every proof on every file system, and one table.

Ends with 1 when a point is torn or a mutant survives. What this machine cannot
do is a row that says why.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.crash.proof import mutants, power, room, sweep, tracing
from tests.crash.proof.medium import Lacking, mounted
from tests.crash.proof.verdict import Tally
from tests.crash.proof.victim import CODES, Act, Trial

KINDS = ("tmpfs", "ext4", "btrfs", "xfs")
_LINE = "{:<7} {:<52} {:>6} {:>7} {:>6} {:>5} {:>6}  {}"


class Table:
    """Prints rows as they come, and remembers whether all is well."""

    def __init__(self) -> None:
        self.failed = False
        self._points = self._torn = 0
        print(_LINE.format("system", "test", "points", "before", "after", "torn", "seeds", "note"))

    def prove(self, kind: str, test: str, work: Callable[[], Tally]) -> None:
        """Add the row of a proof, in which nothing may be torn."""
        tally = self._row(kind, test, work)
        if tally is not None:
            self._points, self._torn = self._points + tally.points, self._torn + tally.torn
            self.failed = self.failed or tally.torn > 0
            if not tally.after and Act.ROLLBACK.value not in test:
                self.failed = True
                print("        it never came to its end: nothing is proven")
            for finding in tally.findings[:3]:
                print(f"        {finding}")

    def catch(self, kind: str, mutant: mutants.Mutant) -> None:
        """Add the row of a mutant, which must be seen to tear."""

        def work() -> Tally:
            tally = mutants.caught(mutant, kind)
            tally.test = f"mutant: {mutant.name}"
            tally.note = "caught" if tally.torn else "SURVIVED"
            return tally

        tally = self._row(kind, f"mutant: {mutant.name}", work)
        self.failed = self.failed or (tally is not None and not tally.torn)

    def end(self, seconds: float) -> None:
        """Print the sum; the mutants' points are not in it."""
        print(f"{self._points} points, {self._torn} torn, {seconds:.0f} s")

    def _row(self, kind: str, test: str, work: Callable[[], Tally]) -> Tally | None:
        try:
            tally = work()
        except Lacking as lacking:
            print(
                _LINE.format(kind, test, "-", "-", "-", "-", "-", f"not done: {lacking}"),
                flush=True,
            )
            return None
        numbers = (tally.points, tally.before, tally.after, tally.torn, tally.seeds)
        print(_LINE.format(kind, tally.test, *numbers, tally.note), flush=True)
        return tally


def _prove_on(table: Table, kind: str, root: Path, seeds: int) -> None:
    for act in Act:
        trial = Trial(root=root / "x", act=act)
        table.prove(kind, f"{act.value} killed", lambda t=trial: sweep.killed(t, kind))  # type: ignore[misc]
    for act in (Act.COMMIT, Act.UNDO):
        trial = Trial(root=root / "x", act=act)
        table.prove(
            kind,
            f"{act.value} and its recoveries killed",
            lambda t=trial: sweep.killed_again(t, kind, seeds, stride=6),  # type: ignore[misc]
        )
        for code in CODES:
            for always in (False, True):
                table.prove(
                    kind,
                    f"{act.value} refused",
                    lambda t=trial, c=code, a=always: sweep.refused(t, kind, c, always=a),  # type: ignore[misc]
                )
    trial = Trial(root=root / "x")
    table.prove(kind, "commit killed by strace", lambda: tracing.killed(trial, kind))


def _prove_kind(table: Table, kind: str, seeds: int) -> None:
    try:
        with mounted(kind) as medium:
            _prove_on(table, kind, medium.root, seeds)
    except Lacking as lacking:
        reason = str(lacking)

        def lacks() -> Tally:
            raise Lacking(reason)

        table.prove(kind, "everything", lacks)
        return
    if kind in ("tmpfs", "ext4"):  # the least btrfs and xfs are too large to fill again and again
        for act in (Act.COMMIT, Act.UNDO):
            table.prove(kind, f"{act.value}, disk full", lambda a=act: room.full(kind, a))  # type: ignore[misc]
    if kind != "tmpfs":
        for act in (Act.COMMIT, Act.UNDO):
            for policy in power.POLICIES:
                count = seeds if policy is power.SOME else 1
                table.prove(
                    kind,
                    f"{act.value}, power lost",
                    lambda a=act, p=policy, n=count: power.lost(kind, p, n, power.trial_of(a)),  # type: ignore[misc]
                )
    for mutant in mutants.MUTANTS:
        if kind in mutant.kinds:
            table.catch(kind, mutant)


def _prove_here(table: Table, seeds: int) -> None:
    """Prove on the disk of temporary files, which needs no root."""
    with tempfile.TemporaryDirectory(prefix="cloche-proof-") as name:
        _prove_on(table, "disk", Path(name), seeds)


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--on", nargs="*", default=[*KINDS], choices=[*KINDS, "disk"])
    options = parser.parse_args()
    began = time.monotonic()
    table = Table()
    lacking_root = False
    for kind in options.on:
        if kind == "disk":
            _prove_here(table, options.seeds)
            continue
        _prove_kind(table, kind, options.seeds)
        lacking_root = lacking_root or not _can_mount(kind)
    if lacking_root:
        _prove_here(table, options.seeds)
    table.end(time.monotonic() - began)
    return int(table.failed)


def _can_mount(kind: str) -> bool:
    try:
        with mounted(kind):
            return True
    except Lacking:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
