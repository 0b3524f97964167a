"""Runs on one project: one writes, the others wait in order, and the dead are in nobody's way."""

import asyncio
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from cloche.kernel.context import RunOptions
from cloche.kernel.writing import wait_to_write
from cloche.model.event import Event, Waiting
from cloche.workspace.errors import WorkspaceBusy
from cloche.workspace.workspace import Workspace

HOLD = """
import sys
from pathlib import Path
from cloche.workspace.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), Path(sys.argv[2]))
print(workspace.ask_to_write() is None, flush=True)
sys.stdin.read()
"""


def _open(tmp_path: Path) -> Workspace:
    (tmp_path / "project").mkdir(exist_ok=True)
    return Workspace.open(tmp_path / "project", tmp_path / "state")


def _wait(workspace: Workspace, tmp_path: Path, told: list[Event], seconds: float | None) -> None:
    options = RunOptions(wait_seconds=seconds)
    asyncio.run(wait_to_write(workspace, tmp_path / "project", options, told.append))


def test_the_line_is_in_the_order_of_arrival(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second, third = (_open(tmp_path) for _ in range(3))
        stack.callback(third.close)
        assert first.ask_to_write() is None
        turns = [each.ask_to_write() for each in (second, third, second)]
        assert [turn and turn.position for turn in turns] == [1, 2, 1]
        first.close()
        with closing(_open(tmp_path)) as late:
            turn = late.ask_to_write()  # the lock is free, and is not theirs
            assert turn is not None
            assert turn.position == 3
        waiting = third.ask_to_write()
        assert waiting is not None
        assert second.ask_to_write() is None
        second.begin().rollback()
        second.close()
        assert third.ask_to_write() is None


def test_who_gives_up_is_passed(tmp_path: Path) -> None:
    first, second = _open(tmp_path), _open(tmp_path)
    with closing(_open(tmp_path)) as third:
        assert first.ask_to_write() is None
        assert second.ask_to_write() is not None
        assert third.ask_to_write() is not None
        second.close()
        first.close()
        assert third.ask_to_write() is None


def test_no_patience_is_an_error_that_names_the_holder(tmp_path: Path) -> None:
    with closing(_open(tmp_path)) as first, closing(_open(tmp_path)) as second:
        assert first.ask_to_write() is None
        with pytest.raises(WorkspaceBusy, match=r"process \d+ has a transaction open"):
            _wait(second, tmp_path, [], 0.0)


def test_a_dead_holder_and_the_dead_in_the_line_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    command = (sys.executable, "-c", HOLD, str(tmp_path / "project"), str(tmp_path / "state"))
    processes = []
    for _ in range(2):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        processes.append((process, process.stdout.readline()))
    assert [line for _, line in processes] == [b"True\n", b"False\n"]
    with closing(_open(tmp_path)) as third:
        told: list[Event] = []
        with pytest.raises(WorkspaceBusy):
            _wait(third, tmp_path, told, 0.5)
        assert isinstance(told[0], Waiting)
        assert (told[0].reason, told[0].position) == ("project", 2)
        assert told[0].holders[0].pid == processes[0][0].pid
        for process, _ in processes:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        _wait(third, tmp_path, told, 0.0)


def test_a_wait_that_is_cancelled_leaves_no_place_behind(tmp_path: Path) -> None:
    async def wait_and_cancel(workspace: Workspace) -> None:
        told = asyncio.Event()
        waiting = asyncio.create_task(
            wait_to_write(workspace, tmp_path / "project", RunOptions(), lambda _event: told.set())
        )
        await told.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with closing(_open(tmp_path)) as first:
        assert first.ask_to_write() is None
        with closing(_open(tmp_path)) as second:
            asyncio.run(wait_and_cancel(second))
        assert not list((tmp_path / "state").rglob("wait-*"))
