"""The habits of overlayfs that a commit must read rightly. Numbers are those of the edge cases of the design."""

import errno
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import (
    RULES,
    build,
    build_natively,
    commit,
    in_child,
    mount_overlay,
    own_namespaces,
    seen,
    undo,
    without_times,
)

from cloche.workspace.errors import WorkspaceBusy
from cloche.workspace.workspace import Workspace

Whoever = Callable[[Callable[[Path], None]], None]


def test_a_directory_of_the_project_is_moved_by_copying(whoever: Whoever) -> None:
    """1: rename(2) of it is EXDEV and does nothing; what `mv` then does is committed as such."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, ("mkdir", "old"), ("write", "old/file", b"1"))
        before = seen(project)
        assert commit(project, ("rename", "old", "new")) == before
        shown = commit(project, ("move", "old", "new"))
        assert seen(project) == shown
        assert set(shown) == {"", "new", "new/file"}
        undo(project)
        assert seen(project) == before


def test_an_overlay_is_mounted_with_userxattr_or_cannot_replace(whoever: Whoever) -> None:
    """3: without it the mount succeeds, and a directory made again in place of another fails."""

    def removed(stage: Path, options: str) -> int:
        work = stage / f"work-{options}"
        upper = stage / f"upper-{options}"
        work.mkdir()
        upper.mkdir()

        def inside() -> int:
            own_namespaces()
            try:
                mount_overlay((stage / "project",), upper, work, work, options)
                os.rmdir(work / "old")
                os.mkdir(work / "old")
            except OSError as error:
                return error.errno or 0
            return 0

        return in_child(inside)

    @whoever
    def _(project: Path) -> None:
        (project / "old").mkdir()
        assert removed(project.parent, "userxattr") == 0
        assert removed(project.parent, "index=off") in (errno.EIO, errno.EPERM, errno.EINVAL)


def test_a_new_directory_needs_no_opaque_mark_to_be_new(whoever: Whoever) -> None:
    """4: one that was never in the project has none; one that was removed and made again has it."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, ("mkdir", "again"), ("write", "again/old", b"1"))
        deeds = (("mkdir", "plain"), ("write", "plain/file", b"1"))
        again = (("remove", "again"), ("mkdir", "again"), ("write", "again/new", b"2"))
        shown = commit(project, *deeds, *again)
        assert seen(project) == shown
        assert set(shown) == {"", "plain", "plain/file", "again", "again/new"}
        assert not os.listxattr(project / "again")


def test_a_new_link_to_a_file_copied_up_is_new(whoever: Whoever) -> None:
    """5: the link has the origin mark of the other name, and yet nobody deleted it in the project."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, ("mkdir", "d"), ("write", "d/one", b"1"))
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            shown = build(transaction, ("append", "d/one", b"2"), ("link", "d/one", "d/two"))
            (project / "by-hand").write_text("beside")
            transaction.commit(RULES)
        assert {p: e[:4] for p, e in seen(project).items() if p.startswith("d/")} == {
            p: e[:4] for p, e in shown.items() if p.startswith("d/")
        }
        assert not os.listxattr(project / "d/two")


def test_whiteouts_that_share_an_inode_are_deletions_each(whoever: Whoever) -> None:
    """6: overlayfs makes them hard links of one device."""

    @whoever
    def _(project: Path) -> None:
        for name in "abc":
            (project / name).write_text(name)
        before = seen(project)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            build(transaction, ("remove", "a"), ("remove", "b"), ("remove", "c"))
            done = transaction.commit(RULES)
        assert done.deleted == 3
        assert set(seen(project)) == {""}
        undo(project)
        assert seen(project) == before


KINDS = {
    "file": (("write", "x", b"1"),),
    "directory": (("mkdir", "x"), ("write", "x/inner", b"2")),
    "link": (("symlink", "x", "elsewhere"),),
}


@pytest.mark.parametrize("old", KINDS)
@pytest.mark.parametrize("new", KINDS)
def test_a_change_of_type_is_one_replacement(whoever: Whoever, old: str, new: str) -> None:
    """7: between file, directory and link, each way, and back by an undo."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *KINDS[old])
        before = seen(project)
        shown = commit(project, ("remove", "x"), *KINDS[new])
        assert seen(project) == shown
        assert ("x/inner" in shown) == (new == "directory")
        undo(project)
        assert seen(project) == before


def test_a_link_of_the_project_is_broken_by_a_write(whoever: Whoever) -> None:
    """9: one name is written, the other stays old: a store that shares its files is not written to."""

    @whoever
    def _(project: Path) -> None:
        store = project.parent / "store"
        store.mkdir()
        (store / "package.js").write_text("shared")
        os.link(store / "package.js", project / "one")
        os.link(store / "package.js", project / "two")
        before, kept = seen(project), seen(store)
        shown = commit(project, ("append", "one", b"!"))
        assert seen(project) == shown
        assert (project / "one").read_text() == "shared!"
        assert (project / "two").read_text() == "shared"
        assert seen(store) == kept
        undo(project)
        assert seen(project) == before
        assert (project / "one").stat().st_ino == (store / "package.js").stat().st_ino


def test_a_rename_between_two_links_is_what_the_overlay_showed(whoever: Whoever) -> None:
    """10: rename(2) does nothing between two names of one file; in a project they are two files."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, ("write", "one", b"1"), ("link", "one", "two"))
        before = seen(project)
        assert set(commit(project, ("rename", "one", "two"))) == {"", "two"} == set(seen(project))
        undo(project)
        assert seen(project) == before
        made = (("write", "three", b"3"), ("link", "three", "four"), ("rename", "three", "four"))
        shown = commit(project, *made)
        assert seen(project) == shown
        assert {"three", "four"} <= set(shown)


def test_every_mount_has_a_work_directory_of_its_own(whoever: Whoever) -> None:
    """19: a volatile one cannot be mounted twice, so a transaction never gives the same again."""

    def mounts(project: Path, upper: Path, work: Path) -> bool:
        def inside() -> bool:
            own_namespaces()
            try:
                mount_overlay((project,), upper, work, work, "userxattr,volatile")
            except OSError:
                return False
            (work / "file").write_text("1")
            return True

        return in_child(inside)

    @whoever
    def _(project: Path) -> None:
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            first, second = transaction.new_work(), transaction.new_work()
            assert mounts(project, transaction.upper, first)
            assert not mounts(project, transaction.upper, first)
            assert mounts(project, transaction.upper, second)
            transaction.commit(RULES)
        assert (project / "file").read_text() == "1"
        assert not [n for n in os.listdir(project.parent / "state/projects") if n[:3] == "tx-"]


def test_no_two_transactions_have_one_layer(whoever: Whoever) -> None:
    """20: the kernel only warns of an upper that is mounted twice, so the lock must forbid it."""

    @whoever
    def _(project: Path) -> None:
        alias = project.parent / "alias"
        alias.symlink_to(project)

        def other() -> str:
            with closing(Workspace.open(alias, project.parent / "state")) as workspace:
                try:
                    workspace.begin()
                except WorkspaceBusy as busy:
                    return str(busy.pid)
            return "begun"

        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            shown = build(transaction, ("write", "file", b"1"))
            assert in_child(other) == str(os.getpid())
            transaction.commit(RULES)
            assert seen(project) == shown
        assert in_child(other) == "begun"


def test_a_commit_is_what_the_deeds_make_of_a_plain_directory(whoever: Whoever) -> None:
    """The overlay is an implementation: a build beside it gives the same."""

    @whoever
    def _(project: Path) -> None:
        start = (("mkdir", "src"), ("write", "src/a", b"1"), ("symlink", "to", "src"))
        deeds = (("append", "src/a", b"2"), ("move", "src", "lib"), ("chmod", "lib/a", 0o755))
        plain = project.parent / "plain"
        plain.mkdir()
        plain.chmod(0o755)
        build_natively(plain, *start, *deeds)
        build_natively(project, *start)
        shown = commit(project, *deeds)
        assert seen(project) == shown
        assert without_times(shown) == without_times(seen(plain))
