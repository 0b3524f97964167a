"""Whatever a pipeline's steps do, each in an upper of its own: one upper then says what all of them said."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.test_commits_are_equal import WITH_LINKS, WITHOUT_LINKS
from tests.property.test_replica import DEEDS, _do, _merged
from tests.property.test_replica import Deed as PlainDeed
from tests.unit.workspace.building import (
    RULES,
    Deed,
    as_nobody,
    assert_committed_and_taken_back,
    build_natively,
    seen,
    stage_home,
    without_times,
)
from tests.unit.workspace.stacking import Stack

from cloche.workspace.replica import Replica
from cloche.workspace.workspace import Workspace


def _readable(deed: Deed) -> Deed:
    """Leave a directory such that an ordinary user's commit can look at what it merges with."""
    return (*deed[:2], deed[2] | 0o500) if deed[0] == "chmod" else deed


START = st.lists(WITHOUT_LINKS, max_size=10)
READABLE_START = st.lists(WITHOUT_LINKS.map(_readable), max_size=10)
LINKED_STEPS = st.lists(st.lists(WITH_LINKS, min_size=1, max_size=6), min_size=2, max_size=4)
STEPS = st.lists(st.lists(WITHOUT_LINKS, min_size=1, max_size=6), min_size=2, max_size=4)


@settings(max_examples=settings.default.max_examples // 4)
@given(START, LINKED_STEPS)
def test_one_upper_shows_what_the_stack_showed(start: list[Deed], steps: list[list[Deed]]) -> None:
    with tempfile.TemporaryDirectory(dir=stage_home()) as name:
        project = Path(name, "project")
        project.mkdir()
        project.chmod(0o755)
        build_natively(project, *start)
        before = seen(project, hidden=True)
        stack = Stack(project, Path(name))
        for deeds in steps:
            stack.add()
            stack.do(*deeds)
        shown, merged = stack.shown(), stack.merged() if os.geteuid() == 0 else {}
        stack.flatten()
        assert stack.shown() == shown
        if os.geteuid() == 0:  # others cannot look into what is shut
            assert stack.merged() == merged
        assert seen(project, hidden=True) == before


@settings(max_examples=settings.default.max_examples // 4)
@given(READABLE_START, STEPS, st.lists(WITH_LINKS, max_size=6))
def test_its_commit_is_what_a_plain_directory_has(
    start: list[Deed], steps: list[list[Deed]], last: list[Deed]
) -> None:
    """Links are made in the last step: an overlay parts those of its lower layers at a write."""
    with tempfile.TemporaryDirectory(dir=stage_home()) as name:
        project, plain = Path(name, "project"), Path(name, "plain")
        for place in (project, plain):
            place.mkdir()
            place.chmod(0o755)
            build_natively(place, *start)
        before = seen(project, hidden=True)
        workspace = Workspace.open(project, Path(name, "state"))
        transaction = workspace.begin()
        stack = Stack(project, transaction.upper.parent, lowest=transaction.upper)
        for deeds in (*steps, last):
            shown = stack.do(*deeds)
            native = build_natively(plain, *deeds)
            assert without_times(shown) == without_times(native)
            stack.add()
        stack.flatten()
        transaction.commit(RULES)
        assert_committed_and_taken_back(
            workspace, project, plain, shown=shown, native=native, before=before
        )
        workspace.close()


@settings(max_examples=settings.default.max_examples // 4)
@given(DEEDS, st.lists(DEEDS, min_size=2, max_size=4))
def test_uppers_folded_from_copies_are_flattened_alike(
    before: list[PlainDeed], rounds: list[list[PlainDeed]]
) -> None:
    """Where no overlay can be mounted."""
    with tempfile.TemporaryDirectory(dir=stage_home()) as name:
        project = Path(name, "project")
        project.mkdir()
        _do(before, project)
        stack = Stack(project, Path(name))
        for number, deeds in enumerate(rounds):
            lowers, home = (*reversed(stack.uppers), project), Path(name, f"home-{number}")
            home.mkdir()
            replica = Replica(upper=stack.add(), lowers=lowers, home=home)
            replica.make()
            _do(deeds, replica.place)
            replica.fold()
        shown = _merged(*reversed(stack.uppers), project)
        assert _merged(stack.flatten(), project) == shown


@pytest.mark.skipif(os.geteuid() != 0, reason="setresuid: only root can be another user as well")
def test_the_same_holds_for_an_ordinary_user() -> None:
    """Whom modes keep out of either layer, so that directories are opened to be moved and shut again."""
    as_nobody(test_one_upper_shows_what_the_stack_showed)
    as_nobody(test_its_commit_is_what_a_plain_directory_has)
