"""The user and the run changed the same: nothing of the user's is lost, whatever is chosen."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import RULES

from cloche.model.paths import JailPath
from cloche.workspace.choice import Choice, Conflicts
from cloche.workspace.errors import EditedMeanwhile
from cloche.workspace.report import Committed
from cloche.workspace.workspace import Workspace


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src/a.txt").write_text("first a")
    (project / "src/b.txt").write_text("first b")
    (project / "dist").mkdir()
    (project / "dist/old.js").write_text("first")
    return project


def commit(project: Path, choice: Choice, *edits: tuple[str, str]) -> Committed:
    """Change both sources and replace dist; the user makes `edits` meanwhile."""
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        transaction = workspace.begin()
        for name in ("src/a.txt", "src/b.txt", "made.txt"):
            transaction.put(JailPath.parse(name), b"from the run")
        tree = transaction.scratch("tree")
        (tree / "new.js").write_text("from the run")
        transaction.take_tree(tree, JailPath.parse("dist"))
        for name, text in edits:
            (project / name).write_text(text)
        return transaction.commit(RULES, choice)


def kept(project: Path) -> list[str]:
    found = (project.parent / "state").rglob("late-*/*")
    return sorted(p.read_text() if p.is_file() else f"{p.name}/" for p in found)


@pytest.mark.parametrize("name", ["src/a.txt", "made.txt", "dist/old.js", "dist/mine.js"])
def test_by_default_nothing_is_committed(project: Path, name: str) -> None:
    with pytest.raises(EditedMeanwhile, match="edited by you"):
        commit(project, Choice(), (name, "mine"))
    assert (project / name).read_text() == "mine"
    assert (project / "src/b.txt").read_text() == "first b"


def test_theirs_keeps_the_file_and_takes_the_rest(project: Path) -> None:
    done = commit(project, Choice(conflicts=Conflicts.THEIRS), ("src/a.txt", "mine"))
    assert done.left_to_user == ("src/a.txt",)
    assert (project / "src/a.txt").read_text() == "mine"
    assert (project / "src/b.txt").read_text() == "from the run"
    assert (project / "dist/new.js").exists()
    assert kept(project) == []


def test_theirs_keeps_a_directory_whole(project: Path) -> None:
    done = commit(project, Choice(conflicts=Conflicts.THEIRS), ("dist/old.js", "mine"))
    assert "dist" in done.left_to_user
    assert [path.name for path in (project / "dist").iterdir()] == ["old.js"]
    assert (project / "src/b.txt").read_text() == "from the run"


def test_ours_takes_the_run_s_and_keeps_the_user_s_aside(project: Path) -> None:
    done = commit(
        project, Choice(conflicts=Conflicts.OURS), ("src/a.txt", "mine"), ("made.txt", "mine too")
    )
    assert (project / "src/a.txt").read_text() == "from the run"
    assert (project / "made.txt").read_text() == "from the run"
    assert kept(project) == ["mine", "mine too"]
    assert [edit.split(" ")[0] for edit in sorted(done.late_edits)] == ["made.txt", "src/a.txt"]


def test_a_directory_that_lost_outlives_its_undo_record(project: Path) -> None:
    choice = Choice(conflicts=Conflicts.OURS)
    commit(project, choice, ("dist/old.js", "mine"))
    assert [path.name for path in (project / "dist").iterdir()] == ["new.js"]
    for _ in range(6):
        commit(project, choice)
    shelved = list((project.parent / "state").rglob("late-*/directory-*"))
    assert [(p / "old.js").read_text() for p in shelved] == ["mine"]


def test_a_record_that_cannot_be_read_stays_and_stops_no_commit(project: Path) -> None:
    commit(project, Choice())
    record = next((project.parent / "state").rglob("undo-*/record"))
    record.write_bytes(b"damaged")
    for _ in range(6):
        commit(project, Choice())
    assert record.read_bytes() == b"damaged"


def test_undo_brings_the_user_s_version_back(project: Path) -> None:
    commit(project, Choice(conflicts=Conflicts.OURS), ("src/a.txt", "mine"))
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        workspace.undo()
    assert (project / "src/a.txt").read_text() == "mine"


def test_only_what_is_selected_is_taken(project: Path) -> None:
    before = (project / "src").stat().st_mode
    done = commit(project, Choice(only=lambda path: path == "src/a.txt"))
    assert done.left_out == 3
    assert (project / "src/a.txt").read_text() == "from the run"
    assert (project / "src/b.txt").read_text() == "first b"
    assert not (project / "made.txt").exists()
    assert (project / "dist/old.js").exists()
    assert (project / "src").stat().st_mode == before


def test_a_conflict_in_what_is_left_out_is_none(project: Path) -> None:
    commit(project, Choice(only=lambda path: path == "src/a.txt"), ("dist/old.js", "mine"))
    assert (project / "dist/old.js").read_text() == "mine"


def test_reads_are_checked_when_asked_for(project: Path) -> None:
    (project / "read.txt").write_text("first")
    with pytest.raises(EditedMeanwhile, match=r"read\.txt \(the run may have read it\)"):
        commit(project, Choice(check_reads=True), ("read.txt", "mine"))
    commit(project, Choice(), ("read.txt", "mine again"))
    assert (project / "src/a.txt").read_text() == "from the run"


def test_a_crash_amid_ours_keeps_the_user_s_version(project: Path) -> None:
    """The kept version is named again by the recovery, which finds the exchange done."""
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        transaction = workspace.begin()
        transaction.put(JailPath.parse("src/a.txt"), b"from the run")
        (project / "src/a.txt").write_text("mine")
        calls = iter(range(10_000))

        def stop(call: str, _detail: str) -> None:
            next(calls)
            if call == "link":
                raise KeyboardInterrupt

        transaction._effects._before = stop
        with pytest.raises(KeyboardInterrupt):
            transaction.commit(RULES, Choice(conflicts=Conflicts.OURS))
        transaction._effects._before = None
        workspace.recover()
    assert kept(project) == ["mine"]
    assert os.listdir(project / "src")
