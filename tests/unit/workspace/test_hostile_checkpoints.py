"""Checkpoints of hostile programs and of busy users: no later run is refused, misled or kept waiting."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.workspace.building import (
    RULES,
    build,
    in_child,
    mount_overlay,
    own_namespaces,
)
from tests.unit.workspace.test_checkpoints import fail, make, opened, state_of, take_up

from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.inventory import digest_project
from cloche.workspace.jail import opened as opened_below
from cloche.workspace.transaction import Transaction

Whoever = Callable[[Callable[[Path], None]], None]

_LATER = 1 << 62


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make(tmp_path / "project")


def as_a_program(transaction: Transaction, work: Callable[[], None]) -> None:
    """Do `work` in an overlay of the transaction, and look at nothing of what it left."""
    place = transaction.new_work()

    def inside() -> None:
        own_namespaces()
        mount_overlay(transaction.lowers, transaction.upper, place, place)
        os.chdir(place)
        work()

    in_child(inside)


@pytest.mark.parametrize("mode", [0o555, 0o300, 0])
def test_a_root_that_a_program_shut_refuses_no_later_run(whoever: Whoever, mode: int) -> None:
    """Without root a directory that may not be written to cannot be moved to another parent."""

    @whoever
    def _(project: Path) -> None:
        make(project)
        with opened(project) as workspace:
            transaction = workspace.begin()
            build(transaction, ("write", "done", b"1"))
            transaction.checkpoints.seal(("one",), "told")
            as_a_program(transaction, lambda: os.chmod(".", mode))
            assert transaction.set_aside()
        with opened(project) as workspace:
            assert workspace.recover().resumable
            transaction = workspace.begin(resumes=True)
            assert take_up(transaction, "one")
            transaction.commit(RULES)
        assert (project / "done").exists()


@pytest.mark.parametrize("mode", [0o555, 0o300, 0])
def test_a_root_that_a_program_shut_ends_the_checkpoints_at_most(
    whoever: Whoever, mode: int
) -> None:
    @whoever
    def _(project: Path) -> None:
        make(project)
        with opened(project) as workspace:
            transaction = workspace.begin()
            transaction.checkpoints.seal(("one",), "")
            as_a_program(transaction, lambda: os.chmod(".", mode))
            transaction.checkpoints.seal(("two",), "")
            as_a_program(transaction, lambda: os.chmod(".", 0o755))
            build(transaction, ("write", "done", b"1"))
            transaction.checkpoints.seal(("three",), "")
            assert transaction.set_aside()
        with opened(project) as workspace:
            transaction = workspace.begin(resumes=True)
            take_up(transaction, "one", "two", "other")
            as_a_program(transaction, lambda: os.chmod(".", 0o755))
            build(transaction, ("write", "done", b"1"))
            transaction.commit(RULES)
        assert (project / "done").exists()


@pytest.mark.parametrize("place", ["tx-*", "resume-*"])
def test_a_place_of_ours_that_a_program_shut_refuses_no_later_run(
    whoever: Whoever, place: str
) -> None:
    """In the landlock tier a program may change the rights of what is the user's: docs/tiers.md."""

    @whoever
    def _(project: Path) -> None:
        make(project)
        with opened(project) as workspace:
            transaction = workspace.begin()
            build(transaction, ("write", "done", b"1"))
            transaction.checkpoints.seal(("one",), "told")
            for found in state_of(project).glob(place):
                found.chmod(0)
            assert transaction.set_aside()
        for found in state_of(project).glob(place):
            found.chmod(0)
        with opened(project) as workspace:
            assert workspace.recover().resumable
            transaction = workspace.begin(resumes=True)
            take_up(transaction, "one")
            build(transaction, ("write", "done", b"1"))
            transaction.commit(RULES)
        assert (project / "done").exists()


def test_a_directory_that_takes_no_mark_ends_the_checkpoints_and_not_the_run(
    project: Path,
) -> None:
    def fill() -> None:
        """Leave no room for one more attribute: ext4 has one block of them."""
        os.mkdir("stuffed")
        for size in (300, 50, 5, 1):
            with contextlib.suppress(OSError):
                for number in range(2000):
                    os.setxattr("stuffed", f"user.{size}-{number}", b"x" * size)

    with opened(project) as workspace:
        transaction = workspace.begin()
        as_a_program(transaction, fill)
        transaction.checkpoints.seal(("one",), "")
        build(transaction, ("write", "done", b"x"))
        transaction.commit(RULES)
    assert (project / "stuffed").is_dir()
    assert (project / "done").exists()


def test_a_chain_of_directories_is_looked_through_step_by_step(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked up anew from the top for each, two thousand of them took an hour."""

    def descend(*, makes: bool) -> None:
        for _ in range(400):
            if makes:
                os.mkdir("d")
            os.chdir("d")
        if not makes:
            os.mkdir("new")

    with opened(project) as workspace:
        transaction = workspace.begin()
        as_a_program(transaction, lambda: descend(makes=True))
        transaction.checkpoints.seal(("one",), "")
        as_a_program(transaction, lambda: descend(makes=False))
        calls = 0
        real = os.fstat

        def counted(descriptor: int) -> os.stat_result:
            nonlocal calls
            calls += 1
            return real(descriptor)

        monkeypatch.setattr(os, "fstat", counted)
        transaction.checkpoints.seal(("two",), "")
        monkeypatch.undo()
        assert calls < 400 * 10
        transaction.rollback()


def test_paths_that_no_commit_takes_are_no_checkpoint(project: Path) -> None:
    def descend(*, makes: bool) -> None:
        for _ in range(30):
            if makes:
                os.mkdir("d" * 200)
            os.chdir("d" * 200)
        if not makes:
            os.mkdir("new")

    with opened(project) as workspace:
        transaction = workspace.begin()
        as_a_program(transaction, lambda: descend(makes=True))
        transaction.checkpoints.seal(("one",), "")
        as_a_program(transaction, lambda: descend(makes=False))
        transaction.checkpoints.seal(("two",), "")
        with pytest.raises(TreeTooLarge):
            transaction.commit(RULES)


@pytest.mark.parametrize(("place", "covered"), [("new", 0), ("old", 1)])
def test_an_old_tree_that_the_user_moved_here_is_not_covered(
    project: Path, place: str, covered: int
) -> None:
    """None of its files is newer than the layer: only the directory itself says that it was moved."""
    mine = project.parent / "mine"
    mine.mkdir()
    (mine / "work").write_text("of years")
    fail(project)
    if place == "old":
        (project / "old").rename(project.parent / "away")
    mine.rename(project / place)
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, "one", "two")) == covered
        transaction.rollback()
    assert (project / place / "work").read_text() == "of years"


def test_a_file_that_the_user_removed_from_a_replaced_directory_counts(project: Path) -> None:
    fail(project)
    (project / "old/b").unlink()
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, "one", "two")) < 2
        transaction.rollback()


def test_a_layer_from_a_time_to_come_is_not_covered(project: Path) -> None:
    """The clock was set back: edits since then look older than the layer."""
    fail(project)
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        transaction.checkpoints._began = 1  # the machine's clock is everybody's
        assert take_up(transaction, "one", "two") == []
        transaction.rollback()


def test_two_directories_swapped_and_swapped_back_are_another_project(project: Path) -> None:
    """Between the two a build may have read the other: their files have the times they had."""
    (project / "other").mkdir()
    (project / "other/main").write_text("other")
    with opened_below(os.open(project, os.O_PATH), "") as base:
        before = digest_project(base, _LATER, frozenset())
        for _ in range(2):
            (project / "src").rename(project / "aside")
            (project / "other").rename(project / "src")
            (project / "aside").rename(project / "other")
        assert digest_project(base, _LATER, frozenset()) != before


def test_a_directory_that_can_be_entered_and_not_listed_is_never_the_same(
    whoever: Whoever,
) -> None:
    @whoever
    def _(project: Path) -> None:
        (make(project) / "src").chmod(0o311)
        with opened_below(os.open(project, os.O_PATH), "") as base:
            digests = {digest_project(base, _LATER, frozenset()) for _ in range(2)}
        assert len(digests) == (1 if os.geteuid() == 0 else 2)
        (project / "src").chmod(0o755)


@pytest.mark.parametrize(
    "mark", ["redirect", "metacopy", "opaque", "whiteout", "protattr", "upper", "origin"]
)
def test_marks_that_a_program_sets_mean_nothing_in_a_layer(project: Path, mark: str) -> None:
    """In an overlay with userxattr they are kept under another name, or refused (Linux 5.11)."""

    def forge() -> None:
        for path in ("old", "old/a", "made"):
            for value in (b"/src", b"y", b"x", b"ia", b""):
                with contextlib.suppress(OSError):
                    os.setxattr(path, f"user.overlay.{mark}", value)

    with opened(project) as workspace:
        transaction = workspace.begin()
        build(transaction, ("mkdir", "made"), ("write", "made/file", b"1"))
        as_a_program(transaction, forge)
        transaction.checkpoints.seal(("one",), "")
        shown = build(transaction)
        assert {"old/a", "old/b", "made/file", "src/main"} <= shown.keys()
        assert "old/main" not in shown
        assert shown["old/a"][2] == b"user"
        assert transaction.set_aside()
    assert list(state_of(project).glob("resume-*"))
