"""A reader under the lock sees one commit or the other, and one without it can tell."""

import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


def _replace(project: Path, state_home: Path, text: str) -> None:
    with closing(Workspace.open(project, state_home)) as workspace:
        transaction = workspace.begin()
        made = transaction.scratch("made") / "src"
        made.mkdir()
        for name in FILES:
            (made.parent / name).write_text(text)
        transaction.take(made, JailPath.parse("src"))
        transaction.commit(RULES)


def _by_path(project: Path) -> int:
    return len({(project / name).read_text() for name in FILES})


def _by_descriptor(project: Path, _state: int) -> int:
    at = os.open(project / "src", os.O_RDONLY | os.O_DIRECTORY)
    texts = set()
    for name in FILES:
        file = os.open(name.removeprefix("src/"), os.O_RDONLY, dir_fd=at)
        texts.add(os.read(file, 64))
        os.close(file)
    os.close(at)
    return len(texts)


def _under_the_lock(project: Path, state: int) -> int:
    with reading(state):
        assert read_generation(state) % 2 == 0
        return _by_path(project)


def _by_generation(project: Path, state: int) -> int:
    """Give how many texts were read; one where the generation says that they may be a mix."""
    before = read_generation(state)
    found = _by_path(project)
    return found if read_generation(state) == before and before % 2 == 0 else 1


@pytest.mark.parametrize(
    ("read", "change"),
    [
        (_under_the_lock, _commit),
        (_by_generation, _commit),
        (_under_the_lock, _replace),
        (_by_descriptor, _replace),
    ],
)
def test_a_reader_that_loops_during_fifty_commits_sees_no_mix(
    tmp_path: Path,
    read: Callable[[Path, int], int],
    change: Callable[[Path, Path, str], None],
) -> None:
    project = _project(tmp_path)
    counts = tmp_path / "counts"

    def loop() -> None:
        rounds = mixed = 0
        with opened_state(find_state(project, tmp_path / "home")) as state:
            while not (tmp_path / "ended").exists():
                rounds += 1
                mixed += read(project, state) != 1
        counts.write_text(f"{rounds} {mixed}")

    reader = os.fork()  # a thread would take turns with the commits
    if reader == 0:
        try:
            loop()
        finally:
            os._exit(0)
    try:
        for number in range(50):
            change(project, tmp_path / "home", str(number))
    finally:
        (tmp_path / "ended").touch()
        os.waitpid(reader, 0)
    rounds, mixed = map(int, counts.read_text().split())
    assert rounds > 50
    assert mixed == 0


def _is_free(turn: int) -> bool:
    try:
        fcntl.flock(turn, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(turn, fcntl.LOCK_UN)
    return True


def test_readers_that_come_one_after_another_do_not_keep_a_commit_out(tmp_path: Path) -> None:
    """The second reader queues behind the commit that waits for the first."""
    project = _project(tmp_path)
    with opened_state(find_state(project, tmp_path / "home")) as state:
        with ThreadPoolExecutor(1) as pool, (Path(f"/proc/self/fd/{state}/turn")).open() as turn:
            with reading(state):
                commit = pool.submit(_commit, project, tmp_path / "home", "new")
                while _is_free(turn.fileno()):
                    assert not commit.done()
                assert _by_path(project) == 1
                assert (project / FILES[0]).read_text() == "start"
            commit.result()
        assert (project / FILES[0]).read_text() == "new"


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
