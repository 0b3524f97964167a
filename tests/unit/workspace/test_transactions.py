"""Commits, undo and recovery on a real file system, stopped in front of every change."""

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.workspace.building import Stopped, stop_at

from cloche.model.paths import JailPath
from cloche.workspace.errors import ChangesRefused, EditedMeanwhile, UndoRefused, WorkspaceBusy
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

RULES = ScreenRules(
    max_bytes=1 << 20,
    max_file_bytes=1 << 20,
    max_entries=1000,
    may_write=allow_all,
    may_delete=allow_all,
)


def _project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "main.js").write_text("one")
    (project / "gone.txt").write_text("two")
    (project / "dist").mkdir()
    (project / "dist" / "old.js").write_text("three")
    return project


def _snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def _change(transaction: Transaction) -> None:
    transaction.put(JailPath.parse("src/main.js"), b"changed")
    transaction.put(JailPath.parse("new/deep/file.txt"), b"new")
    tree = transaction.scratch("tree")
    (tree / "new.js").write_text("built")
    transaction.take(tree, JailPath.parse("dist"))
    try:
        os.mknod(transaction.upper / "gone.txt", 0o020000, os.makedev(0, 0))
    except PermissionError:
        pytest.skip("making a whiteout without an overlay takes CAP_MKNOD")


def test_a_commit_makes_the_layer_the_project_and_undo_takes_it_back(tmp_path: Path) -> None:
    project = _project(tmp_path)
    before = _snapshot(project)
    workspace = Workspace.open(project, tmp_path / "state")
    transaction = workspace.begin()
    _change(transaction)
    assert _snapshot(project) == before
    done = transaction.commit(RULES)
    assert (done.added, done.replaced, done.deleted) == (1, 2, 1)
    assert (project / "src" / "main.js").read_text() == "changed"
    assert not (project / "gone.txt").exists()
    assert [path.name for path in (project / "dist").iterdir()] == ["new.js"]
    workspace.undo()
    assert _snapshot(project) == before
    with pytest.raises(UndoRefused):
        workspace.undo()
    workspace.close()


def test_commits_are_taken_back_one_after_another(tmp_path: Path) -> None:
    project = _project(tmp_path)
    states = [_snapshot(project)]
    workspace = Workspace.open(project, tmp_path / "state")
    for text in ("first", "second", "third"):
        transaction = workspace.begin()
        transaction.put(JailPath.parse("made/a.txt"), text.encode())
        transaction.put(JailPath.parse("src/main.js"), text.encode())
        transaction.commit(RULES)
        states.append(_snapshot(project))
    for state in reversed(states[:-1]):
        workspace.undo()
        assert _snapshot(project) == state
    workspace.close()


def test_undo_refuses_to_take_edits_of_the_user_away(tmp_path: Path) -> None:
    project = _project(tmp_path)
    workspace = Workspace.open(project, tmp_path / "state")
    transaction = workspace.begin()
    _change(transaction)
    transaction.commit(RULES)
    (project / "new" / "deep" / "mine.txt").write_text("by hand")
    with pytest.raises(UndoRefused, match=r"mine\.txt"):
        workspace.undo()
    workspace.close()


def test_an_edit_during_the_run_stops_the_commit(tmp_path: Path) -> None:
    project = _project(tmp_path)
    workspace = Workspace.open(project, tmp_path / "state")
    transaction = workspace.begin()
    _change(transaction)
    (project / "src" / "main.js").write_text("by hand")
    with pytest.raises(EditedMeanwhile, match=r"main\.js"):
        transaction.commit(RULES)
    assert (project / "src" / "main.js").read_text() == "by hand"
    assert (project / "gone.txt").exists()
    workspace.close()


def test_a_second_writer_is_refused_and_a_refused_commit_changes_nothing(tmp_path: Path) -> None:
    project = _project(tmp_path)
    workspace = Workspace.open(project, tmp_path / "state")
    transaction = workspace.begin()
    other = Workspace.open(project, tmp_path / "state")
    with pytest.raises(WorkspaceBusy):
        other.begin()
    other.close()
    transaction.put(JailPath.parse("ok.txt"), b"fine")
    (transaction.upper / "leave").symlink_to("../../etc/passwd")
    before = _snapshot(project)
    with pytest.raises(ChangesRefused, match="leaves the project"):
        transaction.commit(RULES)
    assert _snapshot(project) == before
    workspace.close()


@pytest.mark.parametrize("undoing", [False, True])
def test_stopped_before_every_change_the_project_is_whole(tmp_path: Path, *, undoing: bool) -> None:
    outcomes = set()
    for limit in range(400):
        root = tmp_path / str(limit)
        root.mkdir()
        project, state = _project(root), root / "state"
        before = _snapshot(project)
        try:
            workspace = Workspace.open(project, state)
            transaction = workspace.begin()
            _change(transaction)
            if undoing:
                transaction.commit(RULES)
                before = _snapshot(project)
                workspace._lock.release()  # type: ignore[union-attr]
                workspace = Workspace.open(project, state, stop_at(limit))
                workspace.undo()
            else:
                transaction._effects = stop_at(limit)
                transaction.commit(RULES)
            finished = True
        except Stopped:
            finished = False
        if workspace._lock is not None:
            workspace._lock.release()
        after = Workspace.open(project, state)
        after.recover()
        names = set(_snapshot(project))
        if undoing:
            whole = {"gone.txt", "dist/old.js"} <= names and "new" not in names
        else:
            whole = {"new/deep/file.txt", "dist/new.js"} <= names and "gone.txt" not in names
        outcomes.add(whole)
        assert whole or _snapshot(project) == before, f"torn when stopped before change {limit}"
        after.begin().rollback()
        after.close()
        assert not [n for n in os.listdir(after._places.state_path) if n[:3] in ("tx-", "dea")]
        if finished:
            break
    else:
        pytest.fail("the commit never finished")
    assert outcomes == {False, True}


def _refused(tmp_path: Path, rules: ScreenRules, *modes: tuple[str, int]) -> tuple[str, ...]:
    with closing(Workspace.open(tmp_path / "project", tmp_path / "state")) as workspace:
        transaction = workspace.begin()
        for path, mode in modes:
            changed = transaction.upper / path
            changed.mkdir(exist_ok=True)
            changed.chmod(mode)
        with pytest.raises(ChangesRefused) as caught:
            transaction.commit(rules)
    return caught.value.reasons


def test_the_mode_of_a_directory_is_for_policy_to_allow(tmp_path: Path) -> None:
    _project(tmp_path)
    rules = replace(RULES, may_write=lambda path: (f"not {path}",))
    assert _refused(tmp_path, rules, ("src", 0o700)) == ("src: not src",)


def test_no_directory_is_opened_to_everybody(tmp_path: Path) -> None:
    project = _project(tmp_path)
    reasons = _refused(tmp_path, RULES, ("src", 0o777), (".", 0o777))
    assert sorted(reasons) == [
        "src: its mode would let everybody write to it",
        "the project: its mode would let everybody write to it",
    ]
    assert not (project.stat().st_mode | (project / "src").stat().st_mode) & 0o002


def test_the_state_of_a_project_inside_is_out_of_reach(tmp_path: Path) -> None:
    project = _project(tmp_path)
    (project / ".cloche-state").mkdir()
    (project / ".cloche-state/kept").write_text("")
    with closing(Workspace.open(project, tmp_path / "state")) as workspace:
        transaction = workspace.begin()
        transaction.put(JailPath.parse(".cloche-state/0/journal"), b"planted")
        with pytest.raises(ChangesRefused) as caught:
            transaction.commit(RULES)
    assert ".cloche-state/0/journal" in str(caught.value.reasons)
    assert [path.name for path in (project / ".cloche-state").iterdir()] == ["kept"]
