"""Every moment in turn: killed before each change, killed again amid recovery, refused by the disk."""

import errno
import random
from dataclasses import replace
from pathlib import Path

from tests.crash.proof import verdict
from tests.crash.proof.verdict import Tally
from tests.crash.proof.victim import (
    DONE,
    UNTYPED,
    Act,
    Ending,
    Trial,
    die_before,
    fail_at,
    recover_in_child,
    run,
)

_MOST_CALLS = 2000


def fresh(trial: Trial) -> Trial:
    """Give the same trial on an empty directory."""
    verdict.clear(trial.root)
    return trial


def killed(trial: Trial, medium: str, *, until_torn: bool = False) -> Tally:
    """Kill before change 1, 2, ... until one run survives; each time recover and judge."""
    tally = Tally(medium, f"{trial.act.value} killed")
    for number in range(1, _MOST_CALLS):
        ending = run(fresh(trial), die_before(number))
        _account(tally, number, trial, ending)
        if not ending.died or (until_torn and tally.torn):
            return tally
    raise AssertionError("the act never ended")


def killed_again(trial: Trial, medium: str, seeds: int, *, stride: int = 1) -> Tally:
    """Kill at every `stride`-th change, then the recoveries too, each after a few changes of its own."""
    tally = Tally(medium, f"{trial.act.value} and its recoveries killed", seeds=seeds)
    for seed in range(seeds):
        chance = random.Random(seed)
        for number in range(1 + seed % stride, _MOST_CALLS, stride):
            ending = run(fresh(trial), die_before(number))
            deaths = 0
            # The end of a commit is seven changes that a crash starts anew, so lives grow longer.
            while not recover_in_child(trial, chance.randint(1, 4 + deaths // 10)):
                deaths += 1
            said = verdict.judge(trial, ending)
            for _ in range(deaths + 1):  # each death was a point; the last recovery judges them all
                tally.count((seed, number), said)
            if not ending.died:
                break
    return tally


def refused(trial: Trial, medium: str, code: int, *, always: bool) -> Tally:
    """Refuse change 1, 2, ... with `code`; the act must say so by a typed error and leave no mixture."""
    how = "from then on" if always else "once"
    tally = Tally(medium, f"{trial.act.value}, {errno.errorcode[code]} {how}")
    for number in range(1, _MOST_CALLS):
        ending = run(fresh(trial), fail_at(number, code, always=always))
        if ending.status == UNTYPED:
            tally.count(number, f"no typed error: {ending.error[-600:]}")
        elif not always and (mixed := _mixed(trial, ending)):
            tally.count(number, f"left mixed although the disk works again: {mixed}")
        else:
            _account(tally, number, trial, ending)
        if _outlived(trial, ending, number):
            return tally
    raise AssertionError("the act never ended")


def _mixed(trial: Trial, ending: Ending) -> str:
    said = verdict.compare(verdict.take(trial.project), ending)
    return "" if said in ("before", "after") else said


def _outlived(trial: Trial, ending: Ending, number: int) -> bool:
    # A refused sweep or lock name changes nothing: it is the count that tells the end.
    return ending.status == DONE and number > calls(trial)


_counted: dict[tuple[Act, str], int] = {}


def calls(trial: Trial) -> int:
    """Give how many changes the act makes when nothing is in its way, with some room."""
    key = (trial.act, trial.scenario.name)
    if key not in _counted:
        other = replace(trial, root=trial.root.with_name(f"{trial.root.name}-count"))
        counter = other.root.with_name(f"{other.root.name}.calls")
        run(fresh(other), lambda armed: lambda _c, _d: _note(counter, armed.calls))
        _counted[key] = int(counter.read_text())
    return _counted[key]


def _note(counter: Path, number: int) -> None:
    counter.write_text(str(number))


def _account(tally: Tally, point: object, trial: Trial, ending: Ending) -> None:
    if not ending.died and ending.status == UNTYPED:
        tally.count(point, f"failed by itself: {ending.error[-600:]}")
        return
    tally.count(point, verdict.judge(trial, ending))
