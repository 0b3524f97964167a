"""A run that threw much away ends, and leaves no child of its own; what it threw away goes all the same."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from tests.contain.test_on_other_grounds import _cloche

from cloche.assembly import Kernel
from cloche.kernel.context import KernelSettings, RunOptions
from cloche.workspace.collector import is_urgent

MANY = "mkdir made; cd made; i=0; while [ $i -lt 600 ]; do echo > $i; i=$((i+1)); done; exit 3"


def _dead(home: Path) -> list[str]:
    # Not looked for below: what is there goes while we look.
    states = [*home.glob("projects/*"), *home.glob(".local/state/cloche/projects/*")]
    return [name for state in states for name in os.listdir(state) if name.startswith("dead-")]


def _wait_until_gone(home: Path) -> None:
    end = time.monotonic() + 60
    while left := _dead(home):
        assert time.monotonic() < end, left
        os.sched_yield()


def _needs_room(place: Path) -> None:
    at = os.open(place, os.O_RDONLY)
    try:
        if is_urgent(at):
            pytest.skip("2 GiB of free disk: with less everything is deleted at once")
    finally:
        os.close(at)


def test_a_run_that_failed_is_deleted_after_it(
    tmp_path: Path, prefix: tuple[str, ...], place: Path
) -> None:
    del tmp_path
    _needs_room(place)
    words = ("--project", str(place / "project"), "--", "sh", "-c", MANY)
    told = _cloche(place, prefix, "run", *words)
    assert told[-1]["type"] == "run-finished", told[-1]
    assert os.listdir(place / "project") == []
    _wait_until_gone(place / "home")


def test_a_program_that_embeds_cloche_has_no_child_left(tmp_path: Path) -> None:
    _needs_room(tmp_path)
    (tmp_path / "project").mkdir()

    async def work() -> None:
        settings = KernelSettings(state_home=tmp_path / "home", cache_home=tmp_path / "cache")
        async with Kernel.open(settings) as kernel:
            project = await kernel.project(tmp_path / "project", any_directory=True)
            await project.run(("sh", "-c", MANY), RunOptions())

    before = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    asyncio.run(work())
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == before
    _wait_until_gone(tmp_path / "home")
