"""Checkpoints: a run continues from what a failed one did, and from nothing that may be otherwise now."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.unit.workspace.building import (
    RULES,
    Stopped,
    build,
    commit,
    in_child,
    seen,
    stop_at,
    without_times,
)

from cloche.model.paths import JailPath
from cloche.workspace import layout
from cloche.workspace.effects import Effects
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

FIRST = (("mkdir", "new"), ("write", "new/a", b"1"), ("write", "kept.txt", b"1"))
SECOND = (
    ("write", "new/b", b"2"),
    ("remove", "old"),
    ("mkdir", "old"),
    ("write", "old/c", b"2"),
    ("write", "kept.txt", b"2"),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make(tmp_path / "project")


def make(project: Path) -> Path:
    for path in ("old/a", "old/b", "src/main", "kept.txt"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("user")
    return project


@contextmanager
def opened(project: Path, effects: Effects | None = None) -> Iterator[Workspace]:
    with closing(Workspace.open(project, project.parent / "state", effects)) as workspace:
        yield workspace


def state_of(project: Path) -> Path:
    (state,) = (project.parent / "state/projects").iterdir()
    return state


def fail(project: Path) -> None:
    """Do two steps, and fail in a third."""
    with opened(project) as workspace:
        transaction = workspace.begin()
        build(transaction, *FIRST)
        transaction.checkpoints.seal(("one",), "told first")
        build(transaction, *SECOND)
        transaction.checkpoints.seal(("two",), "told second")
        build(transaction, ("write", "half.txt", b"3"), ("remove", "new/a"))
        assert transaction.set_aside()


def take_up(transaction: Transaction, *keys: str) -> list[str]:
    found = [transaction.checkpoints.take_up((frozenset({key}),)) for key in keys]
    return [point.kept for point in found if point is not None]


def test_the_next_run_has_what_the_steps_did_and_nothing_of_the_one_that_failed(
    project: Path, tmp_path: Path
) -> None:
    plain = make(tmp_path / "other/project")
    commit(plain, *FIRST, *SECOND)
    fail(project)
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert transaction.read(JailPath.parse("new/a"), limit=10) is None
        assert take_up(transaction, "one", "two") == ["told first", "told second"]
        assert transaction.read(JailPath.parse("new/b"), limit=10) == b"2"
        assert transaction.read(JailPath.parse("half.txt"), limit=10) is None
        done = transaction.commit(RULES)
    assert without_times(seen(project)) == without_times(seen(plain))
    assert (done.added, done.replaced, done.deleted) == (1, 2, 0)
    assert not list(state_of(project).glob("resume-*"))
    with opened(project) as workspace:
        workspace.undo()
    assert without_times(seen(project)) == without_times(seen(make(tmp_path / "third/project")))


def test_after_another_key_nothing_is_taken_up_and_nothing_of_it_is_left(project: Path) -> None:
    fail(project)
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert take_up(transaction, "one", "other", "two") == ["told first"]
        assert transaction.read(JailPath.parse("new/a"), limit=10) == b"1"
        assert transaction.read(JailPath.parse("new/b"), limit=10) is None
        build(transaction, ("write", "new/c", b"4"))
        transaction.checkpoints.seal(("other",), "told other")
        assert transaction.set_aside()
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert take_up(transaction, "one", "other") == ["told first", "told other"]
        transaction.commit(RULES)
    assert sorted(path.name for path in (project / "new").iterdir()) == ["a", "c"]


def test_a_step_that_did_nothing_to_the_project_is_one_too(project: Path) -> None:
    with opened(project) as workspace:
        transaction = workspace.begin()
        transaction.checkpoints.seal(("nothing",), "")
        assert transaction.set_aside()
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert take_up(transaction, "nothing") == [""]
        assert not transaction.commit(RULES).added


def test_a_process_that_was_killed_leaves_them_too(project: Path) -> None:
    with opened(project) as workspace:
        transaction = workspace.begin()
        build(transaction, *FIRST)
        transaction.checkpoints.seal(("one",), "told first")
        build(transaction, *SECOND)
        transaction.leave()  # and never comes back
    with opened(project) as workspace:
        report = workspace.recover()
        assert report.resumable
        assert not report.discarded
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert take_up(transaction, "one", "two") == ["told first"]
        transaction.rollback()
    assert not list(state_of(project).glob("resume-*"))


def test_other_runs_leave_them_alone(project: Path) -> None:
    fail(project)
    commit(project, ("write", "elsewhere", b"x"))
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, "one", "two")) == 2
        transaction.rollback()


def test_they_can_be_thrown_away(project: Path) -> None:
    fail(project)
    with opened(project) as workspace:
        workspace.forget_work()
        assert not workspace.begin(resumes=True).checkpoints.has_more
    assert not [path for path in state_of(project).iterdir() if path.name.startswith("resume-")]


@pytest.mark.parametrize("damage", ["cut", "forged", "another boot", "a layer lacks"])
def test_a_record_that_cannot_be_trusted_is_none(project: Path, damage: str) -> None:
    fail(project)
    (kept,) = state_of(project).glob("resume-*")
    record = kept / layout.CHECKPOINTS
    body = record.read_bytes().partition(b"\n")[2]
    match damage:
        case "cut":
            record.write_bytes(record.read_bytes()[:-20])
        case "forged":
            record.write_bytes(record.read_bytes().replace(b"told first", b"told other"))
        case "another boot":
            record.write_bytes(_sealed({**json.loads(body), "boot": "another"}))
        case _:
            (kept / "layer-1").rename(kept / "elsewhere")
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert take_up(transaction, "one", "two") == []
        build(transaction, ("write", "done", b"x"))
        transaction.commit(RULES)
    assert (project / "done").exists()
    assert not (project / "new").exists()


def _sealed(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


@pytest.mark.parametrize("edit", ["file", "below", "removed", "made", "mode"])
def test_what_the_user_changed_meanwhile_is_not_covered(project: Path, edit: str) -> None:
    fail(project)
    match edit:
        case "file":
            (project / "kept.txt").write_text("mine")
        case "below":
            (project / "old/a").write_text("mine")
        case "removed":
            (project / "kept.txt").unlink()
        case "made":
            (project / "new").mkdir()
            (project / "new/mine").write_text("mine")
        case _:
            (project / "kept.txt").chmod(0o600)
    before = seen(project)
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, "one", "two")) < 2
        transaction.rollback()
    assert seen(project) == before


def test_what_the_user_changed_elsewhere_is_no_hindrance_and_stays(project: Path) -> None:
    fail(project)
    (project / "src/main").write_text("mine")
    (project / "src/more").write_text("mine")
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, "one", "two")) == 2
        build(transaction, ("append", "src/main", b" built"))
        transaction.commit(RULES)
    assert (project / "src/main").read_text() == "mine built"
    assert (project / "src/more").read_text() == "mine"


def test_a_directory_that_was_new_hides_an_empty_one_made_meanwhile(project: Path) -> None:
    """Without the mark that `seal` sets the two would merge, and a program see what is in neither."""
    fail(project)
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, "one", "two")) == 2
        (project / "new").mkdir()
        (project / "new/late").write_text("mine")
        shown = build(transaction)
        assert sorted(path for path in shown if path.startswith("new/")) == ["new/a", "new/b"]
        transaction.rollback()
    assert (project / "new/late").read_text() == "mine"


def test_a_held_run_is_held_whole(project: Path) -> None:
    fail(project)
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        take_up(transaction, "one", "two")
        build(transaction, ("write", "third", b"3"))
        transaction.checkpoints.seal(("three",), "")
        transaction.hold("ship", hidden=frozenset(), when=0.0)
    with opened(project) as workspace:
        assert {str(change.path) for change in workspace.compare().items} >= {"new", "third"}
        workspace.commit_held(lambda _: RULES)
    assert (project / "new/b").read_text() == "2"
    assert (project / "third").read_text() == "3"


def test_stopped_before_any_change_the_project_is_whole_and_a_run_begins(tmp_path: Path) -> None:
    """From the first seal over a failure and its continuation to the last step of the commit."""
    before, after = "user", "2"
    outcomes = set()
    limit = 0
    while True:
        project = make(tmp_path / f"{limit}/project")
        if in_child(partial(_fail_and_continue, project, limit)):
            outcomes.add("end")
        with opened(project) as workspace:
            workspace.recover()
            transaction = workspace.begin(resumes=True)
            outcomes.add(len(take_up(transaction, "one", "two")))
            transaction.rollback()
        text = (project / "kept.txt").read_text()
        assert text in (before, after)
        assert (project / "old/b").exists() == (text == before)
        assert (project / "new/b").exists() == (text == after)
        assert not [
            p.name for p in state_of(project).iterdir() if p.name.startswith(("tx-", "resume-"))
        ][1:]
        if "end" in outcomes:
            break
        limit += 1
    assert outcomes == {0, 1, 2, "end"}
    assert limit > 60


def _fail_and_continue(project: Path, limit: int) -> bool:
    """Do it with no more than `limit` changes; the process is gone after that."""
    try:
        workspace = Workspace.open(project, project.parent / "state", stop_at(limit))
        transaction = workspace.begin()
        build(transaction, *FIRST)
        transaction.checkpoints.seal(("one",), "")
        build(transaction, *SECOND)
        transaction.checkpoints.seal(("two",), "")
        transaction.set_aside()
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, "one", "two")) == 2
        transaction.commit(RULES)
    except Stopped:
        return False
    return True


def test_after_sixteen_layers_a_run_goes_on_without(project: Path) -> None:
    with opened(project) as workspace:
        transaction = workspace.begin()
        for number in range(20):
            build(transaction, ("write", f"step-{number}", b"x"))
            transaction.checkpoints.seal((f"{number}",), "")
        assert len(transaction.lowers) == 17
        assert transaction.set_aside()
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        assert len(take_up(transaction, *map(str, range(20)))) == 16
        build(transaction, ("remove", "step-3"), ("write", "step-19", b"y"))
        transaction.commit(RULES)
    assert sorted(path.name for path in project.glob("step-*")) == sorted(
        f"step-{number}" for number in (*range(16), 19) if number != 3
    )


def test_what_the_root_was_given_in_one_step_is_there_in_the_next(project: Path) -> None:
    with opened(project) as workspace:
        transaction = workspace.begin()
        build(transaction, ("setxattr", ".", "user.note", b"1"), ("chmod", ".", 0o711))
        transaction.checkpoints.seal(("one",), "")
        assert os.getxattr(transaction.upper, "user.note") == b"1"
        assert transaction.set_aside()
    with opened(project) as workspace:
        transaction = workspace.begin(resumes=True)
        take_up(transaction, "one")
        assert os.getxattr(transaction.upper, "user.note") == b"1"
        transaction.commit(RULES)
    assert project.stat().st_mode & 0o777 == 0o711


def test_what_a_sealed_step_made_is_for_the_next_as_the_projects_own(project: Path) -> None:
    """Said in docs/transactions.md: overlayfs renames no lower directory, and copies up one name of a file."""
    with opened(project) as workspace:
        transaction = workspace.begin()
        build(
            transaction,
            ("mkdir", "lib"),
            ("write", "lib/a", b"1"),
            ("write", "one", b"1"),
            ("link", "one", "two"),
        )
        transaction.checkpoints.seal(("one",), "")
        shown = build(transaction, ("rename", "lib", "other"), ("append", "one", b"2"))
        assert "lib/a" in shown
        assert "other" not in shown
        assert (shown["one"][2], shown["two"][2]) == (b"12", b"1")
        assert "other/a" in build(transaction, ("move", "lib", "other"))
        transaction.rollback()
