"""A reader under the lock sees one commit or the other, and one without it can tell."""

import os
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.test_transactions import RULES, Stopped

from cloche.model.paths import JailPath
from cloche.workspace.effects import Effects
from cloche.workspace.layout import find_state
from cloche.workspace.readers import opened_state, read_generation, reading
from cloche.workspace.workspace import Workspace

FILES = tuple(f"src/{number}" for number in range(8))


def _commit(project: Path, state_home: Path, text: str, effects: Effects | None = None) -> None:
    with closing(Workspace.open(project, state_home, effects)) as workspace:
        transaction = workspace.begin()
        for name in FILES:
            transaction.put(JailPath.parse(name), text.encode())
        transaction.commit(RULES)


def _project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    _commit(tmp_path / "project", tmp_path / "home", "start")
    return tmp_path / "project"


def test_a_reader_under_the_lock_sees_no_mix(tmp_path: Path) -> None:
    project = _project(tmp_path)
    stop, seen = threading.Event(), []

    def read() -> None:
        with opened_state(find_state(project, tmp_path / "home")) as state:
            while not stop.is_set():
                with reading(state):
                    texts = {(project / name).read_text() for name in FILES}
                    seen.append((len(texts), read_generation(state) % 2))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(60):
            _commit(project, tmp_path / "home", str(number))
    finally:
        stop.set()
        reader.join()
    assert len(seen) > 100
    assert set(seen) == {(1, 0)}


def test_a_crash_while_a_commit_is_applied_leaves_an_odd_generation(tmp_path: Path) -> None:
    project = _project(tmp_path)
    state_path = find_state(project, tmp_path / "home")
    with opened_state(state_path) as state:
        before = read_generation(state)
        assert before == 2

        def stop(call: str, detail: str) -> None:
            if call == "exchange" and detail == "4":
                raise Stopped

        with pytest.raises(Stopped):
            _commit(project, tmp_path / "home", "new", Effects(stop))
        assert {(project / name).read_text() for name in FILES} == {"start", "new"}
        assert read_generation(state) == before + 1
        with closing(Workspace.open(project, tmp_path / "home")) as workspace:
            assert workspace.recover().completed
            assert read_generation(state) == before + 2
            workspace.undo()
        assert read_generation(state) == before + 4
        assert "generation.new" not in os.listdir(state)
