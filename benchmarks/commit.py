"""Making a change to a large project last, against copying the project first."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Action, Row, compare
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.workspace import Workspace

_DIRECTORIES, _FILES = 400, 50  # 20,000 files, as a middling node_modules has
_MANY = 1 << 40
Change = Callable[[Path], None]
"""Writes into the upper layer what a sandbox would have written."""
_RULES = ScreenRules(
    max_bytes=_MANY,
    max_file_bytes=_MANY,
    max_entries=1_000_000,
    may_write=allow_all,
    may_delete=allow_all,
)


async def rows(turns: int = 5) -> list[Row]:
    """Measure a whole transaction, from opening the workspace to its closing."""
    with tempfile.TemporaryDirectory(prefix="cloche-bench-", dir=_home()) as stage:
        project, copy = Path(stage, "project"), Path(stage, "copy")
        _fill(project / "src")
        state = Path(stage, "state")

        async def cp() -> None:
            process = await asyncio.create_subprocess_exec("cp", "-a", str(project), str(copy))
            if await process.wait() != 0:
                raise RuntimeError("cp failed")

        async def remove() -> None:
            await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)
            # Each turn pays for its own writes and for nothing that an earlier one left dirty.
            await asyncio.to_thread(os.sync)

        found = []
        cases: tuple[tuple[str, Change, dict[str, float]], ...] = (
            ("begin + commit of 1 file in 20,000", _one, {"cp -a": 0.01}),
            ("begin + commit of 2,000 changed files in 20,000", _two_thousand, {}),
        )
        for name, change, targets in cases:
            ours = _transact(project, state, change)
            found += await compare(
                name, ours, {"cp -a": cp}, turns=turns, targets=targets, reset=remove
            )
        return found


def _home() -> str:
    """Give a place on the disk that users' projects are on: a tmpfs would flatter copies."""
    place = Path.home() / ".cache"
    place.mkdir(parents=True, exist_ok=True)
    return str(place)


def _transact(project: Path, state: Path, change: Change) -> Action:
    async def act() -> None:
        await asyncio.to_thread(_commit, project, state, change)

    return act


def _commit(project: Path, state: Path, change: Change) -> None:
    workspace = Workspace.open(project, state)
    try:
        transaction = workspace.begin()
        change(transaction.upper)
        transaction.commit(_RULES)
    finally:
        workspace.close()


def _one(upper: Path) -> None:
    (upper / "notes.txt").write_bytes(os.urandom(4096))


def _two_thousand(upper: Path) -> None:
    for directory in range(_DIRECTORIES // 10):
        place = upper / "src" / f"d{directory}"
        place.mkdir(parents=True)
        for number in range(_FILES):
            (place / f"f{number}.js").write_bytes(os.urandom(4096))


def _fill(root: Path) -> None:
    for directory in range(_DIRECTORIES):
        place = root / f"d{directory}"
        place.mkdir(parents=True)
        for number in range(_FILES):
            (place / f"f{number}.js").write_bytes(b"x" * (512 + 97 * number))
