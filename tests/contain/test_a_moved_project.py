"""A project whose path somebody else may change, such as a user whose checkout root builds."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cloche import ExecutionContext, Kernel, KernelSettings
from cloche.model.event import Event, Output, StepStarted
from cloche.sandbox.errors import SpawnFailed


def test_cannot_have_another_directory_shown_in_its_place(tmp_path: Path) -> None:
    project, secrets = tmp_path / "project", tmp_path / "secrets"
    for directory in (project, secrets):
        directory.mkdir()
    (secrets / "key").write_text("of the host")
    printed = b""

    def swap(event: Event) -> None:
        # The project is open and its transaction begun; what a sandbox is shown is named by path.
        if isinstance(event, StepStarted):
            project.rename(tmp_path / "aside")
            project.symlink_to(secrets)

    async def scene() -> None:
        nonlocal printed
        async with Kernel.open(KernelSettings(state_home=tmp_path / "state")) as kernel:
            terms = replace(ExecutionContext.full(project), on_progress=swap)
            opened = await kernel.project(project, any_directory=True, context=terms)
            run = opened.run(("cat", "key"))
            async for event in run:
                printed += event.data if isinstance(event, Output) else b""
            await run

    with pytest.raises(SpawnFailed, match="another directory"):
        asyncio.run(scene())
    assert b"of the host" not in printed
