"""Real runs under a budget that is too small for all of them: they take turns, whatever ends them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche import Kernel, KernelSettings, RunOptions
from cloche.kernel.budget import Budget
from cloche.kernel.queue import Queue
from cloche.model.event import Waiting

DEFAULT = Path(__file__).resolve().parents[2] / "src/cloche/policy/default.yaml"
BUDGET = "budget: {sandboxes: 32}"
MIB = 1 << 20
HOLD = ("sh", "-c", "echo ready; read line")
Events = list[dict[str, Any]]


class Hall:
    """A home that several runs share, and what was started in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.started: list[subprocess.Popen[str]] = []
        (home / "policy.yaml").write_text(
            DEFAULT.read_text().replace(BUDGET, "budget: {memory: 200M}")
        )

    def start(
        self, name: str, *argv: str, options: tuple[str, ...] = (), prefix: tuple[str, ...] = ()
    ) -> "subprocess.Popen[str]":
        project = self.home / name
        project.mkdir()
        if prefix:
            os.chown(project, 65534, 65534)
        process = subprocess.Popen(
            [
                *(*prefix, sys.executable, "-m", "cloche", "run", "--json", "--memory", "100M"),
                *("--policy", str(self.home / "policy.yaml"), *options),
                *("--project", str(project), "--", *argv),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "XDG_CACHE_HOME": str(self.home / f"cache of {name}"),
            },
        )
        self.started.append(process)
        return process

    def hold(self, name: str, memory: str) -> "subprocess.Popen[str]":
        """Start a run that holds `memory` until it is told to end, and wait until it has it."""
        process = self.start(name, *HOLD, options=("--memory", memory))
        until(process, "output")
        return process

    def queue(self) -> Queue:
        return Queue(self.home / ".local/state/cloche", Budget(memory_bytes=1, sandboxes=1))


@pytest.fixture
def hall() -> Iterator[Hall]:
    with tempfile.TemporaryDirectory(prefix="cloche-hall-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o777)
        hall = Hall(Path(name))
        try:
            yield hall
        finally:
            for process in hall.started:
                process.kill()
                process.communicate()


def until(process: "subprocess.Popen[str]", kind: str) -> dict[str, Any]:
    """Give the next event of a kind."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["type"] == kind:
            return event
    pytest.fail(f"the run ended without {kind}")


def end(process: "subprocess.Popen[str]", words: str | None = None) -> Events:
    """Let a run end, and give what it had still to tell."""
    output, _ = process.communicate(words, timeout=60)
    return [json.loads(line) for line in output.splitlines()]


def kinds(events: Events) -> list[str]:
    return [event["type"] for event in events]


def test_the_second_waits_is_told_for_whom_and_starts_when_the_first_ends(hall: Hall) -> None:
    first = hall.hold("first", "150M")
    second = hall.start("second", "true")
    told = until(second, "waiting")
    assert (told["position"], told["reason"]) == (1, "memory")
    assert (told["wanted_bytes"], told["free_bytes"]) == (100 * MIB, 50 * MIB)
    (holder,) = told["holders"]
    assert holder["project"] == str(hall.home / "first")
    assert holder["pid"] == first.pid
    end(first, "go\n")
    assert end(second)[-1]["outcome"] == "ok"


def test_those_behind_are_told_when_they_move_up(hall: Hall) -> None:
    first = hall.hold("first", "150M")
    second = hall.start("second", *HOLD, options=("--memory", "150M"))
    until(second, "waiting")
    third = hall.start("third", "true", options=("--memory", "10M"))
    told = until(third, "waiting")
    assert (told["position"], told["reason"]) == (2, "turn")
    second.send_signal(signal.SIGINT)
    assert until(second, "run-finished")["outcome"] == "cancelled"
    assert end(third)[-1]["outcome"] == "ok"
    end(first, "go\n")
    assert hall.queue().look() == ()
    assert not list(hall.home.rglob("tx-*"))


def test_the_share_of_a_killed_kernel_is_free_at_once(hall: Hall) -> None:
    first = hall.hold("first", "150M")
    second = hall.start("second", "true")
    until(second, "waiting")
    first.kill()
    assert end(second)[-1]["outcome"] == "ok"


def test_waiting_takes_nothing_of_the_steps_own_time(hall: Hall) -> None:
    hall.start("first", "sh", "-c", "echo ready; sleep 3", options=("--memory", "150M"))
    until(hall.started[0], "output")
    second = hall.start("second", "true", options=("--timeout", "1"))
    until(second, "waiting")
    assert end(second)[-1]["outcome"] == "ok"


def test_who_will_not_wait_is_told_who_holds_the_memory(hall: Hall) -> None:
    hall.hold("first", "150M")
    events = end(hall.start("second", "true", options=("--wait", "0")))
    finished = next(event for event in events if event["type"] == "run-finished")
    assert finished["code"] == "budget-taken"
    assert "confined" not in kinds(events)
    assert str(hall.home / "first") in finished["reasons"][0]
    assert hall.started[-1].returncode == 101


def test_a_ceiling_above_the_budget_is_lowered_and_told(hall: Hall) -> None:
    events = end(hall.start("first", "true", options=("--memory", "2G")))
    assert events[-1]["outcome"] == "ok"
    assert any("200 MiB" in event["text"] for event in events if event["type"] == "note")
    (confined,) = (event for event in events if event["type"] == "confined")
    (held,) = (row for row in confined["barriers"] if row[0] == "memory-limit")
    if held[1] == "full":
        assert str(200 * MIB) in held[2]


@pytest.mark.slow
def test_of_eight_at_once_never_more_than_two_run_and_all_finish(hall: Hall) -> None:
    mark = f"0.000000{time.monotonic_ns()}"
    crowd = [hall.start(f"p{n}", "sleep", "0.4", mark) for n in range(8)]
    most_running = most_held = 0
    while any(process.poll() is None for process in crowd):
        held = [t.claim.memory_bytes for t in hall.queue().look() if t.admitted]
        most_held = max(most_held, sum(held))
        most_running = max(most_running, programs(mark))
    assert [end(process)[-1]["outcome"] for process in crowd] == ["ok"] * 8
    assert (most_held, most_running) == (200 * MIB, 2)


def programs(mark: str) -> int:
    """Count the programs of sandboxes that name `mark`, as the host sees them."""
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        found += words.startswith(b"sleep\0") and mark.encode() in words
    return found


@pytest.mark.parametrize("identity", ["ordinary"], indirect=True)
def test_two_users_do_not_share(hall: Hall, prefix: tuple[str, ...]) -> None:
    if not prefix:
        pytest.skip("needs root, to start as two users (setpriv)")
    (hall.home / ".local/state/cloche/projects").mkdir(parents=True)
    for path in (".local", ".local/state", ".local/state/cloche"):
        (hall.home / path).chmod(0o777)
    hall.hold("first", "200M")
    events = end(hall.start("second", "true", options=("--wait", "0"), prefix=prefix))
    assert events[-1]["outcome"] == "ok"
    assert "waiting" not in kinds(events)


def test_two_runs_of_one_program_count_as_two(tmp_path: Path) -> None:
    settings = KernelSettings(
        state_home=tmp_path / "state", queue_home=tmp_path / "state", budget_bytes=150 * MIB
    )
    for name in "ab":
        (tmp_path / name).mkdir()

    async def both() -> None:
        async with Kernel.open(settings) as kernel:
            one, other = [await kernel.project(tmp_path / n, any_directory=True) for n in "ab"]
            options = RunOptions(memory_bytes=100 * MIB)
            first = one.run(("sh", "-c", "echo ready; exec sleep 600"), options)
            async for event in first:
                if event.to_json()["type"] == "output":
                    break
            second = other.run(("true",), options)
            async for event in second:
                if isinstance(event, Waiting):
                    assert (event.position, len(event.holders)) == (1, 1)
                    assert {ticket.admitted for ticket in await kernel.jobs()} == {True, False}
                    first.cancel()
            assert (await second).outcome == "ok"
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await kernel.jobs() == ()

    asyncio.run(both())
