"""What was thrown away is deleted by nobody's leave: late, at idle priority, by one process, whatever kills it."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import RULES, in_child, seen

from cloche.platforms.linux.collector import start_collector
from cloche.workspace import collector
from cloche.workspace.collector import Collect, collect_all, is_urgent
from cloche.workspace.effects import Effects
from cloche.workspace.workspace import Workspace

MANY = 400  # more than a close deletes itself


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "file").write_text("1")
    return project


def _open(project: Path, collect: Collect | None = None) -> Workspace:
    workspace = Workspace.open(project, project.parent / "state", collect=collect)
    if collect is not None and is_urgent(workspace._places.state):
        pytest.skip("2 GiB of free disk: with less everything is deleted at once")
    return workspace


def _throw_away(workspace: Workspace, entries: int) -> None:
    transaction = workspace.begin()
    for number in range(entries // 10):
        (transaction.upper / f"{number}/below").mkdir(parents=True)
        for name in range(8):
            (transaction.upper / f"{number}/below/{name}").write_text("thrown away")
    (transaction.upper / "0").chmod(0)
    transaction.rollback()


def _state(project: Path) -> Path:
    (state,) = (project.parent / "state/projects").iterdir()
    return state


def _dead(project: Path) -> list[str]:
    return [name for name in os.listdir(_state(project)) if name.startswith("dead-")]


def _wait_for_the_end(project: Path) -> None:
    end = time.monotonic() + 60
    while _dead(project):
        assert time.monotonic() < end, _dead(project)
        os.sched_yield()


def _with_state(project: Path, act: Callable[[int], None]) -> None:
    state = os.open(_state(project), os.O_RDONLY | os.O_DIRECTORY)
    try:
        act(state)
    finally:
        os.close(state)


def test_a_close_deletes_little_itself_and_has_the_rest_deleted(project: Path) -> None:
    asked: list[int] = []
    with closing(_open(project, asked.append)) as workspace:
        _throw_away(workspace, 100)
    assert (_dead(project), asked) == ([], [])
    with closing(_open(project, asked.append)) as workspace:
        _throw_away(workspace, MANY)
    assert len(asked) == len(_dead(project)) == 1
    with closing(_open(project, asked.append)):
        pass  # the next one goes on
    assert (_dead(project), len(asked)) == ([], 1)


def test_a_large_file_is_not_deleted_by_a_close(project: Path) -> None:
    asked: list[int] = []
    with closing(_open(project, asked.append)) as workspace:
        transaction = workspace.begin()
        with (transaction.upper / "large").open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, 5 << 30)
            except OSError as error:
                transaction.rollback()
                pytest.skip(f"5 GiB of disk: {error}")
        transaction.rollback()
    assert len(asked) == len(_dead(project)) == 1


def test_without_a_collector_or_in_a_recovery_everything_is_deleted_at_once(project: Path) -> None:
    with closing(_open(project)) as workspace:
        _throw_away(workspace, MANY)
    assert _dead(project) == []
    with closing(_open(project, pytest.fail)) as workspace:
        _throw_away(workspace, MANY)
        workspace.recover()
    assert _dead(project) == []


def test_where_no_collector_starts_everything_is_deleted_at_once(project: Path) -> None:
    def refuse(_state: int) -> None:
        raise BlockingIOError

    with closing(_open(project, refuse)) as workspace:
        _throw_away(workspace, MANY)
    assert _dead(project) == []


def test_where_collectors_do_not_keep_up_everything_is_deleted_at_once(project: Path) -> None:
    asked: list[int] = []
    with closing(_open(project, asked.append)) as workspace:
        for _ in range(collector._MANY):
            _throw_away(workspace, 30)
        assert len(_dead(project)) == collector._MANY
        _throw_away(workspace, 30)
        _throw_away(workspace, MANY)  # its begin makes room
        assert len(_dead(project)) == 1
    assert len(asked) == 1


def test_a_collector_outlives_who_started_it_and_is_no_child(project: Path) -> None:
    def start() -> list[int]:
        with closing(_open(project, start_collector)) as workspace:
            _throw_away(workspace, 2000)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return [int(child) for child in children.split()]

    before = seen(project)
    assert in_child(start) == []
    _wait_for_the_end(project)
    assert seen(project) == before


def test_commits_and_undo_beside_a_collector(project: Path) -> None:
    with closing(_open(project, start_collector)) as workspace:
        _throw_away(workspace, 3000)
    with closing(_open(project, lambda _state: None)) as workspace:
        for number in range(10):
            transaction = workspace.begin()
            (transaction.upper / "file").write_text(f"of {number}")
            (transaction.upper / f"new{number}").write_text("")
            transaction.commit(RULES)
        assert (project / "file").read_text() == "of 9"
        workspace.undo(5)
        assert (project / "file").read_text() == "of 4"
    _wait_for_the_end(project)
    with closing(_open(project)) as workspace:
        assert len(workspace.history()) == 0
        assert not workspace.recover().completed


def test_killed_before_any_of_its_deletions_the_next_close_goes_on(project: Path) -> None:
    def killed_before(number: int) -> bool:
        """Collect in a child that is killed before its change `number`; tell whether it lived."""
        pid = os.fork()
        if pid == 0:
            made = 0

            def before(_call: str, _detail: str) -> None:
                nonlocal made
                made += 1
                if made == number:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                _with_state(project, lambda state: collect_all(state, Effects(before)))
            finally:
                os._exit(0)
        return os.waitpid(pid, 0)[1] == 0

    before = seen(project)
    with closing(_open(project, lambda _state: None)) as workspace:
        _throw_away(workspace, MANY)
    deaths = 0
    while not killed_before(7):  # again and again, of what the one before left
        deaths += 1
        assert seen(project) == before
    assert deaths > 10
    assert _dead(project) == []
    with closing(_open(project, lambda _state: None)) as workspace:
        _throw_away(workspace, MANY)
    assert not killed_before(50)
    with closing(_open(project)):
        pass
    assert _dead(project) == []


def test_one_collector_works_and_a_second_one_leaves_it_to_it(project: Path) -> None:
    with closing(_open(project, lambda _state: None)) as workspace:
        _throw_away(workspace, MANY)
    lock = os.open(_state(project), os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _with_state(project, lambda state: collect_all(state, Effects()))
    assert len(_dead(project)) == 1
    os.close(lock)
    _with_state(project, lambda state: collect_all(state, Effects()))
    assert _dead(project) == []


def test_collectors_and_a_close_at_once_leave_nothing(project: Path) -> None:
    with closing(_open(project, lambda _state: None)) as workspace:
        _throw_away(workspace, 3000)
    for _ in range(3):
        _with_state(project, start_collector)
    with closing(_open(project)):
        pass
    _wait_for_the_end(project)
    assert seen(project).keys() == {"", "file"}


def test_a_collector_ends_where_something_resists(project: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with closing(_open(project)):
        pass
    place = _state(project) / "dead-1/mounted"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        (place / "file").write_text("somebody's")
        _with_state(project, lambda state: collect_all(state, Effects()))
        assert (place / "file").exists()
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_collector_has_the_lowest_priority(project: Path) -> None:
    with closing(_open(project)):
        pass

    def work() -> tuple[int, int, str]:
        _with_state(project, collector.main)
        disk = subprocess.run(["ionice"], capture_output=True, text=True, check=True).stdout
        return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), disk.strip()

    assert in_child(work) == (19, os.SCHED_IDLE, "idle")
