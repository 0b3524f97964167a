"""Whose a control group is: ours alive, ours dead, or of a container that we know nothing of."""

import os

import pytest

from cloche.platforms.linux.cgroup import Owner

OURS = Owner(namespace="4026531836", pid=42, start="1000")


def test_a_label_names_its_owner() -> None:
    assert Owner.find_in(OURS.label(0, 7)) == OURS


@pytest.mark.parametrize(
    "name", ["cloche-jobs", "cloche.1-2", "cloche.1-2-3-4", "cloche.1-2-3-4-5x", "user.slice"]
)
def test_a_group_that_is_not_ours_has_no_owner(name: str) -> None:
    assert Owner.find_in(name) is None


@pytest.mark.parametrize("start", ["", "2000"])
def test_an_owner_is_dead_when_its_pid_is_free_or_another_process(start: str) -> None:
    assert OURS.is_dead(Owner(namespace=OURS.namespace, pid=42, start=start))


def test_an_owner_that_runs_is_alive() -> None:
    assert not OURS.is_dead(OURS)
    running = Owner.read(os.getpid())
    assert not running.is_dead(Owner.read(running.pid))


def test_of_an_owner_in_another_container_nothing_is_said() -> None:
    assert not OURS.is_dead(Owner(namespace="4026539999", pid=42, start=""))
