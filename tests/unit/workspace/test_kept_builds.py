"""What builds keep lasts from run to run under one key, belongs to no transaction, and can be thrown away."""

from contextlib import closing
from pathlib import Path

import pytest

from cloche.workspace.workspace import Workspace


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def keep(project: Path, name: str) -> Path:
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        transaction = workspace.begin()
        place = transaction.open_build(name)
        transaction.rollback()
    return place


def test_it_outlives_a_run_that_failed(project: Path) -> None:
    (keep(project, "rust-1") / "made").write_text("x")
    again = keep(project, "rust-1")
    assert (again / "made").read_text() == "x"
    assert again.stat().st_mode & 0o777 == 0o700


def test_another_key_is_another_place_and_the_old_one_goes(project: Path) -> None:
    old = keep(project, "rust-1")
    other = keep(project, "dotnet-1")
    new = keep(project, "rust-2")
    assert not old.exists()
    assert other.exists()
    assert not list(new.iterdir())


def test_it_is_thrown_away_when_all_is_wanted_anew(project: Path) -> None:
    (keep(project, "rust-1") / "made").write_text("x")
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        workspace.forget_work()
    assert not list(keep(project, "rust-1").iterdir())


def test_another_project_at_the_same_path_has_nothing_of_it(project: Path) -> None:
    (keep(project, "rust-1") / "made").write_text("x")
    project.rmdir()
    project.mkdir()  # often under the same inode number
    assert not list(keep(project, "rust-1").iterdir())
    project.rename(project.parent / "away")
    (project.parent / "away").rename(project)
    (keep(project, "rust-1") / "made").write_text("x")
    assert (keep(project, "rust-1") / "made").exists()
