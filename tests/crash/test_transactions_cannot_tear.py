"""The short form of `make crash`: every change of a commit and of an undo interrupted, on two file systems."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.proof import mutants, power, room, sweep, tracing
from tests.crash.proof.medium import Lacking, mounted
from tests.crash.proof.overlay import enter_namespace, in_child
from tests.crash.proof.verdict import Tally, clear
from tests.crash.proof.victim import CODES, Act, Trial


@pytest.fixture(autouse=True)
def _overlay() -> None:
    try:
        in_child(enter_namespace)
    except RuntimeError as error:
        pytest.skip(f"user-namespace: {str(error).strip().splitlines()[-1]}")


@pytest.fixture(params=["tmpfs", "ext4"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An empty directory on the file system; the disk of temporary files where none may be mounted."""
    try:
        with mounted(request.param) as medium:
            yield medium.root / "x"
            return
    except Lacking as lacking:
        if request.param == "tmpfs":
            pytest.skip(f"a tmpfs of its own: {lacking}")
    yield tmp_path / "x"
    clear(tmp_path / "x")


def _whole(tally: Tally, *, both: bool = True) -> None:
    assert not tally.torn, "\n".join(tally.findings[:5])
    assert tally.points > 20
    assert not both or (tally.before and tally.after)


@pytest.mark.parametrize("act", Act)
def test_killed_before_every_change_it_is_before_or_after(root: Path, act: Act) -> None:
    tally = sweep.killed(Trial(root=root, act=act), root.parent.name)
    _whole(tally, both=act is not Act.ROLLBACK)


@pytest.mark.parametrize("act", [Act.COMMIT, Act.UNDO])
def test_killed_again_amid_every_recovery_it_is_before_or_after(root: Path, act: Act) -> None:
    _whole(sweep.killed_again(Trial(root=root, act=act), root.parent.name, seeds=1, stride=16))


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_refused_by_the_disk_it_says_so_and_is_never_mixed(
    root: Path, code: int, *, always: bool
) -> None:
    tally = sweep.refused(Trial(root=root), root.parent.name, code, always=always)
    _whole(tally, both=False)


def test_killed_by_strace_at_any_system_call_it_is_before_or_after(root: Path) -> None:
    try:
        _whole(tracing.killed(Trial(root=root), root.parent.name, ("renameat2", "fsync", "syncfs")))
    except Lacking as lacking:
        pytest.skip(str(lacking))


def test_a_full_disk_is_survived() -> None:
    try:
        _whole(room.full("tmpfs"), both=False)
    except Lacking as lacking:
        pytest.skip(f"a small disk: {lacking}")


@pytest.mark.parametrize("policy", power.POLICIES, ids=lambda policy: policy.name)
def test_without_power_it_is_before_or_after(policy: power.Policy) -> None:
    try:
        _whole(power.lost("ext4", policy, 1, power.trial_of(Act.COMMIT)))
    except Lacking as lacking:
        pytest.skip(f"an image on a loop device: {lacking}")


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_part_taken_out_is_noticed(mutant: mutants.Mutant, tmp_path: Path) -> None:
    on_disk = mutant.policy is None and "tmpfs" in mutant.kinds and os.geteuid() != 0
    try:
        tally = mutants.caught(mutant, mutant.kinds[0], tmp_path if on_disk else None)
    except Lacking as lacking:
        pytest.skip(f"{mutant.kinds[0]} on a loop device: {lacking}")
    assert tally.torn
