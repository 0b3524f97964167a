"""What flattening does with several names, with long and odd ones, with depth, errors and xfs."""

import errno
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.crash.proof.medium import Lacking, mounted
from tests.unit.workspace.building import RULES, Deed, build_natively, seen, without_times
from tests.unit.workspace.stacking import (
    START,
    Stack,
    Steps,
    Whoever,
    flattened,
    names_of,
)

from cloche.workspace.diff import LONGEST, ORIGIN
from cloche.workspace.discard import remove_tree
from cloche.workspace.effects import Effects
from cloche.workspace.errors import EditedMeanwhile, TreeTooLarge
from cloche.workspace.workspace import Workspace


def test_names_of_one_file_stay_that(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        made = (("append", "file", b"2"), ("link", "file", "d/other"), ("link", "file", "third"))
        upper = flattened(project, (("append", "d/old", b"2"),), made)
        assert (upper / "file").stat().st_ino == (upper / "d/other").stat().st_ino
        assert (upper / "file").stat().st_nlink == 3


def test_a_change_of_a_new_file_is_no_copy_of_one_the_user_deleted(whoever: Whoever) -> None:
    """Copied up from the layer below it has the mark of what the project had; it had nothing."""

    def commit(project: Path, first: Deed, second: Deed, beside: Callable[[], object]) -> None:
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            stack = Stack(project, transaction.upper.parent, lowest=transaction.upper)
            stack.do(first)
            stack.add()
            stack.do(("chmod", "d/new", 0o444), second) if first[0] == "write" else stack.do(second)
            stack.flatten()
            beside()
            transaction.commit(RULES)

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *START)
        commit(
            project,
            ("write", "d/new", b"1"),
            ("touch", "d/new", 10**18),
            lambda: (project / "d/by-hand").write_text("beside"),
        )
        assert (project / "d/new").stat().st_mode & 0o7777 == 0o444
        assert (project / "d/new").stat().st_mtime_ns == 10**18
        with pytest.raises(EditedMeanwhile):
            commit(
                project,
                ("append", "d/old", b"1"),
                ("append", "d/old", b"2"),
                (project / "d/old").unlink,
            )


def test_a_file_with_another_name_keeps_the_mark_that_may_be_that_ones(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        made = (("append", "file", b"2"), ("remove", "new"), ("link", "file", "new"))
        upper = flattened(project, (("write", "new", b"1"),), made)
        assert ORIGIN in os.listxattr(upper / "file")


def test_three_steps_are_merged_in_their_order(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        steps: Steps = (
            (("remove", "d"), ("write", "file", b"1")),
            (("mkdir", "d"), ("write", "d/two", b"2"), ("remove", "file")),
            (("write", "file", b"3"), ("write", "d/three", b"3"), ("remove", "d/two")),
        )
        upper = flattened(project, *steps)
        assert names_of(upper) == {"d", "d/three", "file"}


def test_names_are_bytes(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        name = os.fsdecode(b"\xff\xfe \n,:\\")
        first = (("mkdir", name), ("write", f"{name}/{name}", b"1"))
        upper = flattened(
            project, first, (("append", f"{name}/{name}", b"2"), ("write", f"{name}/b", b"3"))
        )
        assert (upper / name / name).read_bytes() == b"12"


def test_a_deep_new_tree_is_moved_unseen_and_where_deep_ones_merge_they_are_refused(
    whoever: Whoever,
) -> None:
    def dig(root: Path, depth: int) -> None:
        at = os.open(root, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("n" * 250, dir_fd=at)
            below = os.open("n" * 250, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)

    @whoever
    def _(project: Path) -> None:
        stack = Stack(project, project.parent)
        first, second, third = stack.add(), stack.add(), stack.add()
        dig(second, 2000)
        dig(third, LONGEST // 250)
        try:
            with pytest.raises(TreeTooLarge):
                stack.flatten()
            assert os.listdir(first) == ["n" * 250]
            assert os.listdir(second) == []
        finally:
            stage = os.open(project.parent, os.O_RDONLY)
            for upper in (first, third):
                remove_tree(stage, upper.name, Effects())
            os.close(stage)


def test_an_error_of_the_disk_leaves_the_project_as_it_was(whoever: Whoever) -> None:
    """At any call: the uppers mean nothing then, and are thrown away."""

    def fails(project: Path, number: int) -> bool:
        left = [number]

        def before(_call: str, _detail: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        home = project.parent / str(number)
        home.mkdir()
        stack = Stack(project, home)
        stack.add()
        stack.do(("append", "d/old", b"2"), ("write", "new", b"1"), ("remove", "d/inner"))
        stack.add()
        stack.do(("append", "new", b"2"), ("remove", "d/old"), ("mkdir", "d/inner"))
        try:
            stack.flatten(Effects(before))
        except OSError:
            return True
        return False

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *START)
        before, number = seen(project), 1
        while fails(project, number):
            assert seen(project) == before
            number += 1
        assert number > 5


@pytest.mark.skipif(os.geteuid() != 0, reason="mount: only root can make an xfs to look at")
def test_on_xfs_a_directory_that_moves_keeps_its_time() -> None:
    """There its own mtime changes as well when it gets another parent."""
    try:
        with mounted("xfs") as medium:
            project = medium.root / "project"
            project.mkdir()
            first = (("mkdir", "old"), ("write", "file", b"1"), ("append", "d/old", b"2"))
            second = (
                ("mkdir", "new"),
                ("write", "new/file", b"2"),
                ("remove", "old"),
                ("mkdir", "old"),
                ("write", "d/inner/new", b"1"),
                ("touch", "new", 10**18),
                ("touch", "old", 10**18),
                ("touch", "d", 10**18),
            )
            upper = flattened(project, first, second)
            assert without_times(seen(upper)).keys() >= {"new/file", "old", "d/inner/new"}
            for name in ("new", "old", "d"):
                assert (upper / name).stat().st_mtime_ns == 10**18
    except Lacking as lacking:
        pytest.skip(f"xfs: {lacking}")
