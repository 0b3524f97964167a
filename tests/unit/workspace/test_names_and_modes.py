"""Names and modes that are hard to commit. Numbers are those of the edge cases of the design."""

import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import (
    NOBODY,
    RULES,
    ChildFailed,
    as_nobody,
    build,
    build_natively,
    commit,
    in_child,
    seen,
    stage_home,
    undo,
)

from cloche.workspace.errors import ChangesRefused, PathBlocked
from cloche.workspace.workspace import Workspace

Whoever = Callable[[Callable[[Path], None]], None]
LONGEST = "n" * 255  # NAME_MAX, linux/limits.h


@pytest.mark.skipif(os.geteuid() != 0, reason="chown: giving a file to another group takes root")
def test_what_belongs_to_a_group_that_is_not_mapped_stays_as_it_is(tmp_path: Path) -> None:
    """2: overlayfs cannot copy it up (EOVERFLOW); the program is told, and nothing is lost."""
    home = Path(stage_home() or tmp_path) / f"cloche-group-{os.getpid()}"
    project = home / "project"
    project.mkdir(parents=True)
    try:
        (project / "shared").write_text("1")
        (project / "own").write_text("1")
        for place in (home, project, project / "shared", project / "own"):
            os.chown(place, NOBODY, NOBODY)
        os.chown(project / "shared", NOBODY, 50)

        def scene() -> None:
            before = seen(project)
            assert commit(project, ("append", "shared", b"2")) == before
            shown = commit(project, ("append", "shared", b"2"), ("append", "own", b"2"))
            assert seen(project) == shown
            assert (project / "shared").read_text() == "1"
            undo(project)
            assert seen(project) == before
            # It can be replaced, as deleting takes no copy.
            shown = commit(project, ("remove", "shared"), ("write", "shared", b"new"))
            assert seen(project) == shown
            undo(project)
            assert (project / "shared").stat().st_gid == 50

        as_nobody(scene)
    finally:
        in_child(lambda: os.system(f"rm -rf {home}"))


@pytest.mark.parametrize("mode", [0o000, 0o555, 0o311])
def test_a_directory_that_is_shut_is_committed_shut(whoever: Whoever, mode: int) -> None:
    """8: new ones, with something in them: to be moved they are opened, and shut again after it."""

    @whoever
    def _(project: Path) -> None:
        before = seen(project)
        deeds = (("mkdir", "d"), ("mkdir", "d/in"), ("write", "d/in/file", b"1"))
        commit(project, *deeds, ("chmod", "d/in", mode), ("chmod", "d", mode))
        for path in ("d", "d/in"):
            assert stat.S_IMODE((project / path).stat().st_mode) == mode
            (project / path).chmod(0o700)
        assert (project / "d/in/file").read_bytes() == b"1"
        for path in ("d/in", "d"):
            (project / path).chmod(mode)
        undo(project)
        assert seen(project) == before


@pytest.mark.parametrize("mode", [0o555, 0o500])
def test_a_directory_of_the_project_that_is_shut_stays_shut(whoever: Whoever, mode: int) -> None:
    """8: one in the project, opened by a build, changed, and shut again; and one deleted whole."""

    @whoever
    def _(project: Path) -> None:
        for name in ("changed", "deleted"):
            build_natively(project, ("mkdir", name), ("write", f"{name}/file", b"1"))
            (project / name).chmod(mode)
        before = seen(project)
        opened = (("chmod", "changed", 0o755), ("write", "changed/new", b"2"))
        gone = (("chmod", "deleted", 0o755), ("remove", "deleted"))
        shown = commit(project, *opened, ("chmod", "changed", mode), *gone)
        assert seen(project) == shown
        assert set(shown) == {"", "changed", "changed/file", "changed/new"}
        undo(project)
        assert seen(project) == before


def test_a_directory_of_the_project_that_nobody_reads_is_whole_or_as_it_was(
    whoever: Whoever,
) -> None:
    """8: of mode 0000. Who cannot look into it is refused before the mark; root is not."""

    @whoever
    def _(project: Path) -> None:
        for name in ("changed", "deleted"):
            build_natively(project, ("mkdir", name), ("write", f"{name}/file", b"1"))
            (project / name).chmod(0)
        before = seen(project, hidden=True)
        opened = ("chmod", "changed", 0o755), ("write", "changed/new", b"2")
        if os.geteuid() == 0:
            commit(project, *opened, ("chmod", "changed", 0))
            assert (project / "changed/new").read_bytes() == b"2"
            undo(project)
        else:
            with pytest.raises(PathBlocked, match="changed"):
                commit(project, *opened, ("chmod", "changed", 0))
        assert seen(project, hidden=True) == before
        commit(project, ("chmod", "deleted", 0o700), ("remove", "deleted"))
        assert set(seen(project, hidden=True)) >= {"", "changed"}
        assert not os.path.lexists(project / "deleted")
        undo(project)
        assert seen(project, hidden=True) == before
        (project / "deleted").chmod(0o700)
        assert (project / "deleted/file").read_bytes() == b"1"


def test_a_name_of_255_bytes_goes_in_and_out(whoever: Whoever) -> None:
    """11: new, replaced, deleted and undone; a late edit of it is kept under a shorter name."""

    @whoever
    def _(project: Path) -> None:
        before = seen(project)
        shown = commit(project, ("mkdir", LONGEST), ("write", f"{LONGEST}/{LONGEST}", b"1"))
        assert seen(project) == shown
        middle = shown
        shown = commit(project, ("append", f"{LONGEST}/{LONGEST}", b"2"))
        assert seen(project) == shown
        shown = commit(project, ("remove", LONGEST))
        assert set(seen(project)) == {""}
        undo(project, 2)
        assert seen(project) == middle
        undo(project)
        assert seen(project) == before


def test_a_new_name_that_is_not_utf8_is_refused_and_an_old_one_kept(whoever: Whoever) -> None:
    """11: a tool may have to work with old ones; new ones break those of other systems."""
    old, new = os.fsdecode(b"old-\xff"), os.fsdecode(b"new-\xfe")

    @whoever
    def _(project: Path) -> None:
        (project / old).write_text("1")
        before = seen(project)
        shown = commit(project, ("append", old, b"2"))
        assert seen(project) == shown
        undo(project)
        assert seen(project) == before
        with pytest.raises(ChangesRefused, match="not UTF-8"):
            commit(project, ("write", new, b"1"))
        assert seen(project) == before


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\\b", "a\\,b", "with space\n", "é", ".wh.x"])
def test_a_project_may_have_any_path(whoever: Whoever, name: str) -> None:
    """11: the characters that mean something in the options of an overlay, in its own path."""

    @whoever
    def _(stage: Path) -> None:
        project = stage / name
        project.mkdir()
        (project / "file").write_text("1")
        before = seen(project)
        shown = commit(project, ("append", "file", b"2"), ("mkdir", "d"))
        assert seen(project) == shown
        undo(project)
        assert seen(project) == before


@pytest.mark.parametrize("name", [".wh.x", ".wh..wh..opq", ".wh..wh.plnk", "a,b:c\\d", "-rf", " "])
def test_a_file_may_have_the_name_of_another_unions_whiteout(whoever: Whoever, name: str) -> None:
    """11: they mean something to other union file systems, and here they are names."""

    @whoever
    def _(project: Path) -> None:
        (project / "x").write_text("stays")
        shown = commit(project, ("write", name, b"1"), ("mkdir", "d"), ("write", f"d/{name}", b"2"))
        assert seen(project) == shown
        assert {"x", name, f"d/{name}"} <= set(shown)
        shown = commit(project, ("remove", name))
        assert seen(project) == shown
        assert name not in shown


def test_names_that_differ_in_case_are_two_names(whoever: Whoever) -> None:
    """24: where the project's file system tells them apart."""

    @whoever
    def _(project: Path) -> None:
        (project / "Read").write_text("1")
        shown = commit(project, ("append", "Read", b"2"), ("rename", "Read", "READ"))
        assert seen(project) == shown
        assert set(shown) == {"", "READ"}


def test_what_is_in_the_way_of_a_build_is_not_in_the_way_of_a_commit(whoever: Whoever) -> None:
    """A directory with everything a commit refuses is refused with every reason, and nothing changed."""

    @whoever
    def _(project: Path) -> None:
        (project / "file").write_text("1")
        before = seen(project)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            build(
                transaction,
                ("mkfifo", "pipe"),
                ("symlink", "out", "../../etc"),
                ("symlink", "absolute", "/etc"),
                ("write", "program", b""),
                ("chmod", "program", 0o4755),
                ("mkdir", "d"),
                ("mkfifo", "d/pipe"),
                ("write", "fine", b""),
                ("setxattr", "fine", "user.overlay.redirect", b"/etc"),
            )
            with pytest.raises(ChangesRefused) as caught:
                transaction.commit(RULES)
        said = "\n".join(caught.value.reasons)
        for path in ("pipe", "out", "absolute", "program", "d/pipe"):
            assert f"{path}: it is" in said
        assert seen(project) == before


def test_a_scene_that_fails_fails_its_test(whoever: Whoever) -> None:
    """Or all the tests here would see nothing."""

    def scene(project: Path) -> None:
        assert not project.exists()

    with pytest.raises(ChildFailed, match="AssertionError"):
        whoever(scene)
