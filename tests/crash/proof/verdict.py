"""Before, after or torn: the judgement of one point, and their count."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.proof.snapshot import Snapshot, differences, take
from tests.crash.proof.victim import Act, Ending, Trial, left_over, recover


@dataclass(slots=True)
class Tally:
    """One row of the table."""

    medium: str
    test: str
    seeds: int = 1
    before: int = 0
    after: int = 0
    torn: int = 0
    note: str = ""
    findings: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        """How many moments were tried."""
        return self.before + self.after + self.torn

    def count(self, point: object, verdict: str) -> None:
        """Take one verdict: "before", "after", or what is wrong."""
        if verdict == "before":
            self.before += 1
        elif verdict == "after":
            self.after += 1
        else:
            self.torn += 1
            self.findings.append(f"{self.medium}, {self.test}, point {point}: {verdict}"[:2000])


def judge(trial: Trial, ending: Ending) -> str:
    """Recover, and say "before", "after", or what is torn or left over."""
    try:
        recover(trial)
        found = take(trial.project)
        verdict = compare(found, ending)
        if verdict not in ("before", "after"):
            return verdict
        if left := left_over(trial):
            return f"recovery left {left}"
        return _look_again(trial, ending, found, verdict)
    except Exception as error:  # noqa: BLE001 - a recovery that fails is a finding
        return f"recovery failed: {error!r}"


def compare(found: Snapshot, ending: Ending) -> str:
    """Say which of the two trees this is, else what lies between."""
    if found == ending.before:
        return "before"
    if found == ending.after:
        return "after"
    sides = [differences(found, side) for side in (ending.before, ending.after)]
    nearest = min(sides, key=len)
    return f"torn: {len(nearest)} differ: {nearest[:4]}"


def _look_again(trial: Trial, ending: Ending, found: Snapshot, verdict: str) -> str:
    """Recover once more, and where a commit stands take it back: whole, to the nanosecond."""
    recover(trial)
    if take(trial.project) != found:
        return "a second recovery changed the project"
    if trial.act is Act.COMMIT and verdict == "after":
        workspace = trial.open(trial.effects())
        try:
            workspace.undo()
        finally:
            workspace.close()
        wrong = differences(take(trial.project), ending.before)
        if wrong:
            return f"undo after recovery: {len(wrong)} differ: {wrong[:4]}"
    return verdict


def clear(root: Path) -> None:
    """Make `root` an empty directory, whatever modes are in it."""
    if root.exists():
        waiting = [root]
        while waiting:
            place = waiting.pop()
            place.chmod(0o700)
            found = list(place.iterdir())
            waiting += [path for path in found if path.is_dir() and not path.is_symlink()]
        shutil.rmtree(root)
    root.mkdir(parents=True)
