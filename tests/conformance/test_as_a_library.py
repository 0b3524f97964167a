"""Cloche as an application embeds it: terms of its own, events as they happen, errors by type."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloche import (
    Capability,
    ClocheError,
    ExecutionContext,
    Kernel,
    KernelSettings,
    NetworkMode,
    Resource,
    RunOptions,
    RunResult,
)
from cloche.capability.constraint import Constraints
from cloche.model.event import Event


def run(
    tmp_path: Path, script: str, context: ExecutionContext, options: RunOptions | None = None
) -> RunResult:
    async def scene() -> RunResult:
        async with Kernel.open(KernelSettings(state_home=tmp_path / "state")) as kernel:
            project = await kernel.project(
                context.project_root, any_directory=True, context=context
            )
            return await project.run(("sh", "-c", script), options or RunOptions())

    return asyncio.run(scene())


@pytest.fixture
def terms(tmp_path: Path) -> ExecutionContext:
    root = tmp_path / "project"
    root.mkdir()
    return ExecutionContext.full(root)


def test_callbacks_hear_what_happens(tmp_path: Path, terms: ExecutionContext) -> None:
    events: list[Event] = []
    output: list[bytes] = []
    heard = replace(terms, on_progress=events.append, on_log=lambda _, data: output.append(data))
    run(tmp_path, "echo hello", heard)
    assert b"".join(output) == b"hello\n"
    names = [type(event).__name__ for event in events]
    assert names[0] == "RunStarted"
    assert names[-1] == "RunFinished"
    assert "Confined" in names


def test_what_the_context_does_not_name_is_not_committed(
    tmp_path: Path, terms: ExecutionContext
) -> None:
    narrow = replace(terms, allowed_paths=("out/**",))
    with pytest.raises(ClocheError) as refusal:
        run(tmp_path, "mkdir out; echo x > out/a; echo x > elsewhere", narrow)
    assert refusal.value.code == "changes-refused"
    assert "elsewhere" in str(refusal.value)
    assert list(terms.project_root.iterdir()) == []
    run(tmp_path, "mkdir out; echo x > out/a", narrow)
    assert (terms.project_root / "out/a").read_text() == "x\n"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"max_bytes": 3}, "it brings in 4 bytes, at most 3 allowed"),
        ({"max_file_bytes": 1}, "a: it has 2 bytes, at most 1 allowed"),
        ({"extensions": frozenset({".ts"})}, "it is for .ts files"),
    ],
)
def test_a_right_to_write_holds_a_commit_to_its_ceilings(
    tmp_path: Path, terms: ExecutionContext, held: dict[str, Any], said: str
) -> None:
    others = tuple(c for c in terms.capabilities if c.resource is not Resource.WRITE)
    right = Capability(resource=Resource.WRITE, pattern="**", constraints=Constraints(**held))
    with pytest.raises(ClocheError) as refusal:
        run(tmp_path, "echo x > a; echo x > b", replace(terms, capabilities=(*others, right)))
    assert refusal.value.code == "changes-refused"
    assert said in str(refusal.value)
    assert list(terms.project_root.iterdir()) == []


def test_without_the_right_to_execute_nothing_starts(
    tmp_path: Path, terms: ExecutionContext
) -> None:
    write_only = replace(terms, capabilities=(Capability(resource=Resource.WRITE, pattern="**"),))
    with pytest.raises(ClocheError) as refusal:
        run(tmp_path, "echo x > a", write_only)
    assert refusal.value.code == "denied"
    assert list(terms.project_root.iterdir()) == []


def test_a_context_without_network_outweighs_a_host_that_an_option_names(
    tmp_path: Path, terms: ExecutionContext
) -> None:
    offline = replace(terms, network_policy=NetworkMode.NONE)
    with pytest.raises(ClocheError) as refusal:
        run(tmp_path, "true", offline, RunOptions(network=("example.org",)))
    assert refusal.value.code == "denied"


def test_an_error_of_the_applications_own_callback_leaves_the_project_alone(
    tmp_path: Path, terms: ExecutionContext
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("of the application")

    with pytest.raises(RuntimeError, match="of the application"):
        run(tmp_path, "echo x > a; echo x", replace(terms, on_log=broken))
    assert list(terms.project_root.iterdir()) == []
