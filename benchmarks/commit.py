"""Transactions on a large project, against copying it first, adding it to git, or syncing it."""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figure, Row, missing, ratios
from benchmarks.tree import fill, on_disk
from cloche.model.action import DeleteFile, WriteFile
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate
from cloche.policy.load import load_default
from cloche.workspace.screen import ScreenRules
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

_ENTRIES = 70_000
_SIZES = (1_000, 10_000, 100_000)
_BEGINS = 20
_MANY = 1 << 40
_POLICY = load_default()
RULES = ScreenRules(
    max_bytes=_MANY,
    max_file_bytes=_MANY,
    max_entries=1_000_000,
    may_write=lambda path: _objections(WriteFile(path=path)),
    may_delete=lambda path: _objections(DeleteFile(path=path)),
    may_be_named=_POLICY.commit.name_objections,
    may_be_alike=_POLICY.commit.alike_objections,
    may_be_file=_POLICY.commit.extension_objections,
)
"""What judges a run's commit where no policy is written, but for its limits."""
_GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    name: str
    change: Callable[[Transaction], None]
    """Writes into the upper layer what a sandbox would have written; not timed."""
    end: Callable[[Transaction], object]
    """What is timed, from the transaction's begin without the change."""
    target: float | None = None
    """At most this part of `cp -a`."""
    undone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    project: Path
    state: Path
    copies: Path


def _objections(action: WriteFile | DeleteFile) -> tuple[str, ...]:
    decision = evaluate(_POLICY, action)
    return decision.reasons if decision.effect is Effect.DENY else ()


def _commit(transaction: Transaction) -> None:
    transaction.commit(RULES)


def _one(upper: Path) -> None:
    (upper / "notes.txt").write_bytes(os.urandom(4096))


def _two_thousand(transaction: Transaction) -> None:
    left = 2000
    for path in sorted((transaction.base / "node_modules").rglob("*.js")):
        place = transaction.upper / path.relative_to(transaction.base)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(os.urandom(4096))
        left -= 1
        if not left:
            return


_CASES = (
    _Case(
        name="begin + commit of 1 file",
        change=lambda t: _one(t.upper),
        end=_commit,
        target=1 / 2000,
    ),
    _Case(
        name="begin + commit of 2,000 files",
        change=_two_thousand,
        end=_commit,
        target=1 / 100,
    ),
    _Case(
        name="begin + commit of a new tree of 70,000",
        change=lambda t: fill(t.upper / "more", _ENTRIES),
        end=_commit,
        target=1 / 8,
    ),
    _Case(
        name="begin + rollback of a new tree of 70,000",
        change=lambda t: fill(t.upper / "more", _ENTRIES),
        end=lambda t: t.rollback(),
        undone=False,
    ),
)


async def rows(turns: int = 3) -> Sequence[Row | Figure]:
    """Measure begins by the size of the project, then whole transactions in a project of 70,000 entries."""
    with tempfile.TemporaryDirectory(prefix="cloche-bench-", dir=on_disk()) as name:
        found: list[Row | Figure] = list(await asyncio.to_thread(_begins, Path(name, "begins")))
        home = Path(name)
        stage = _Stage(project=home / "project", state=home / "state", copies=home / "copies")
        stage.copies.mkdir()
        await asyncio.to_thread(fill, stage.project / "node_modules", _ENTRIES)
        return [*found, *await _transactions(stage, turns)]


def _begins(home: Path) -> list[Figure]:
    found = []
    for size in _SIZES:
        project = home / f"of-{size}"
        fill(project / "node_modules", size)
        os.sync()
        took = []
        with closing(Workspace.open(project, home / "state")) as workspace:
            workspace.begin().rollback()
            for _ in range(_BEGINS):
                began = time.perf_counter()
                transaction = workspace.begin()
                took.append(time.perf_counter() - began)
                transaction.rollback()
        middle = statistics.median(took) * 1e3
        found.append(
            Figure(
                name=f"begin in a project of {size:,} entries",
                found=f"{middle:.2f} ms",
                target="<= 1 ms",
                holds=middle <= 1,
            )
        )
        shutil.rmtree(project)
    return found


async def _transactions(stage: _Stage, turns: int) -> list[Row]:
    peers = {
        name: command for name, command in _peers(stage).items() if shutil.which(command[0][0])
    }
    mine: dict[str, list[float]] = {case.name: [] for case in _CASES}
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    refused: dict[str, str] = {}
    for _ in range(turns):
        for case in _CASES:
            mine[case.name].append(await asyncio.to_thread(_transact, stage, case))
        for name, commands in peers.items():
            if name in refused:
                continue
            began = time.perf_counter()
            if why := await _all(commands):
                refused[name] = why
            theirs[name].append(time.perf_counter() - began)
            await asyncio.to_thread(_clear, stage.copies)
    return [
        missing(case.name, name, refused[name])
        if name in refused
        else ratios(
            case.name, mine[case.name], name, theirs[name], case.target if name == "cp -a" else None
        )
        for case in _CASES
        for name in peers
    ]


def _peers(stage: _Stage) -> dict[str, tuple[tuple[str, ...], ...]]:
    project, copies = str(stage.project), stage.copies
    git = (*_GIT, f"--git-dir={copies / 'git'}", f"--work-tree={project}")
    return {
        "cp -a": (("cp", "-a", project, str(copies / "cp")),),
        "reflink": (("cp", "-a", "--reflink=always", project, str(copies / "reflink")),),
        "git": (
            ("git", "init", "--quiet", "--bare", str(copies / "git")),
            (*git, "add", "--all"),
            (*git, "commit", "--quiet", "--message", "all"),
        ),
        "rsync": (("rsync", "-a", f"{project}/", str(copies / "rsync")),),
    }


async def _all(commands: tuple[tuple[str, ...], ...]) -> str:
    """Run one command after another; give why one was refused, "" when none was."""
    for command in commands:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
        if process.returncode:
            return errors.decode(errors="replace").strip().split("\n")[-1][-100:]
    return ""


def _transact(stage: _Stage, case: _Case) -> float:
    """Give the seconds that begin and end took; what is thrown away is deleted after, as in a run."""
    with closing(Workspace.open(stage.project, stage.state)) as workspace:
        began = time.perf_counter()
        transaction = workspace.begin()
        middle = time.perf_counter()
        case.change(transaction)
        again = time.perf_counter()
        case.end(transaction)
        took = (time.perf_counter() - again) + (middle - began)
        if case.undone:
            workspace.undo()
    os.sync()
    return took


def _clear(place: Path) -> None:
    for path in place.iterdir():
        shutil.rmtree(path, ignore_errors=True)
    # Each turn pays for its own writes and for nothing that an earlier one left dirty.
    os.sync()
