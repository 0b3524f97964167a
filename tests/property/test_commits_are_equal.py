"""Whatever a build does: the result of its commit is what the overlay showed and what a plain directory has.

Two things an overlay does otherwise are left out here and said in
tests/unit/workspace/test_what_overlays_do.py: a directory of the project is not
renamed but moved by copying, and a file of it with several names loses them.
"""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.workspace.building import (
    RULES,
    Deed,
    as_nobody,
    assert_committed_and_taken_back,
    build,
    build_natively,
    seen,
    stage_home,
    without_times,
)

from cloche.workspace.workspace import Workspace

NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from([b"", b"x", b"longer content"])
TIMES = st.sampled_from([0, 10**18 + 123_456_789])
ANY_MODE = st.integers(0, 0o1777).map(lambda mode: mode & ~0o002)
WITHOUT_LINKS: st.SearchStrategy[Deed] = st.one_of(
    st.tuples(st.just("write"), PATHS, CONTENTS),
    st.tuples(st.just("append"), PATHS, CONTENTS),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("move"), PATHS, PATHS),
    st.tuples(st.just("symlink"), PATHS, NAMES),
    st.tuples(st.just("chmod"), PATHS, ANY_MODE),
    st.tuples(st.just("touch"), PATHS, TIMES),
)
WITH_LINKS = st.one_of(WITHOUT_LINKS, st.tuples(st.just("link"), PATHS, PATHS))


@settings(max_examples=settings.default.max_examples // 2)
@given(
    st.lists(WITHOUT_LINKS, max_size=10),
    st.lists(st.lists(WITH_LINKS, min_size=1, max_size=8), min_size=1, max_size=3),
)
def test_a_commit_is_what_was_shown_and_what_a_plain_directory_has(
    start: list[Deed], builds: list[list[Deed]]
) -> None:
    with tempfile.TemporaryDirectory(dir=stage_home()) as name:
        project, plain = Path(name, "project"), Path(name, "plain")
        for place in (project, plain):
            place.mkdir()
            place.chmod(0o755)
            build_natively(place, *start)
        before = seen(project, hidden=True)
        workspace = Workspace.open(project, Path(name, "state"))
        transaction = workspace.begin()
        for deeds in builds:
            shown = build(transaction, *deeds)
            native = build_natively(plain, *deeds)
            assert without_times(shown) == without_times(native)
        transaction.commit(RULES)
        assert_committed_and_taken_back(
            workspace, project, plain, shown=shown, native=native, before=before
        )
        workspace.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="setresuid: only root can be another user as well")
def test_the_same_holds_for_an_ordinary_user() -> None:
    """Whom modes keep out, so that directories are opened to be moved and shut again."""
    as_nobody(test_a_commit_is_what_was_shown_and_what_a_plain_directory_has)
