"""One tool run bare, in the jar on a plain directory, and in the jar on an overlay in a transaction.

Each run tells the tool's own time, which a shell takes right beside it, and what the jar and the
transaction cost around it.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.commit import RULES
from cloche.model.limits import LIMIT_CLASSES
from cloche.platforms.linux.host import read_host_system
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.layout import system_mounts
from cloche.sandbox.mounts import BindReadOnly, BindWritable, MountOp, Overlay, ordered
from cloche.sandbox.plan import NetworkPlan, SandboxPlan
from cloche.workspace.workspace import Workspace

_LIMITS = LIMIT_CLASSES["run"]
# On standard output its nanoseconds, and the processor's time as times(1p) tells it; all that the
# tool says on standard error; the same on both sides.
_TIMED = 'b=$(date +%s%N); "$@" >&2; s=$?; e=$(date +%s%N); echo $((e - b)); times; exit $s'


class ToolFailed(Exception):
    """What was to be measured did not end well; says the end of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command on a project of its own, whose directory holds all that it reads."""

    name: str
    project: Path
    argv: tuple[str, ...]
    roots: tuple[Path, ...]
    """Where its programs are installed, below `bin`; {0}, {1}... in `argv` stand for their places."""
    environment: Mapping[str, str]
    """In values, {project} stands for the project's place."""
    made: tuple[str, ...]
    """What it makes, by name in the project; deleted before each run, and the user's never."""
    layers: tuple[tuple[str, ...], ...] = ((), (), ())
    """For the stack: what of the project lies in each layer above it, as steps would have left it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One run, in seconds."""

    own: float
    """The tool's, from its start to its end."""
    processor: float
    """Of the tool and of all that it started: other programs on the machine change it less."""
    around: float = 0
    """All the rest until nothing of it runs any more, the transaction's begin included."""
    commit: float = 0


async def run_bare(tool: Tool, place: Path) -> Took:
    """Run `tool` in a copy of its project. Raises ToolFailed."""
    roots = tuple(map(str, tool.roots))
    process = await asyncio.create_subprocess_exec(
        *_argv(tool, roots),
        cwd=place,
        env=_environment(tool, roots, str(place), home=str(place.parent)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await process.communicate()
    return _took(tool, process.returncode or 0, said, errors)


async def run_jailed(platform: LinuxPlatform, tool: Tool, place: Path) -> Took:
    """Run `tool` in the jar on a copy of its project, which it writes to. Raises ToolFailed."""
    mount = BindWritable(source=str(place), target="/project")
    began = time.perf_counter()
    took = await _run(platform, tool, mount)
    return replace(took, around=time.perf_counter() - began - took.own)


async def run_committed(platform: LinuxPlatform, tool: Tool, place: Path, state: Path) -> Took:
    """Run `tool` on an overlay of a copy of its project, commit, and undo that. Raises ToolFailed."""
    with closing(Workspace.open(place, state)) as workspace:
        began = time.perf_counter()
        transaction = workspace.begin(owned=tool.made)
        mount = Overlay(
            lowers=tuple(map(str, transaction.lowers)),
            upper=str(transaction.upper),
            work=str(transaction.new_work()),
            target="/project",
        )
        took = await _run(platform, tool, mount)
        ended = time.perf_counter()
        await asyncio.to_thread(transaction.commit, RULES)
        committed = time.perf_counter() - ended
        workspace.undo()
    return replace(took, around=ended - began - took.own, commit=committed)


async def run_stacked(
    platform: LinuxPlatform, tool: Tool, lowers: tuple[Path, ...], scratch: Path
) -> Took:
    """Run `tool` on an overlay of several layers, and throw away what it made. Raises ToolFailed."""
    for name in ("up", "work"):
        (scratch / name).mkdir(parents=True)
    mount = Overlay(
        lowers=tuple(map(str, lowers)),
        upper=str(scratch / "up"),
        work=str(scratch / "work"),
        target="/project",
    )
    try:
        began = time.perf_counter()
        took = await _run(platform, tool, mount)
        return replace(took, around=time.perf_counter() - began - took.own)
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch)


def split(tool: Tool, home: Path) -> tuple[Path, ...]:
    """Make a copy of the project as a stack of layers below `home`, and give it, topmost first."""
    base = home / "base"
    shutil.copytree(tool.project, base, symlinks=True)
    stack = [base]
    for number, names in enumerate(tool.layers):
        layer = home / f"layer-{number}"
        layer.mkdir()
        (layer / f"step-{number}.log").write_text("done\n")
        for name in names:
            (base / name).rename(layer / name)
        stack.insert(0, layer)
    return tuple(stack)


async def _run(platform: LinuxPlatform, tool: Tool, mount: MountOp) -> Took:
    process = await platform.spawn(_plan(tool, mount))
    said: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    try:
        while (piece := await process.read_output()) is not None:
            said[piece[0]].append(piece[1])
        ended = await process.wait_exited()
    finally:
        await process.close()
    return _took(tool, ended.status, b"".join(said["stdout"]), b"".join(said["stderr"]))


def _plan(tool: Tool, mount: MountOp) -> SandboxPlan:
    system = system_mounts(read_host_system(), memory_bytes=_LIMITS.memory_bytes, trust_roots=False)
    places = tuple(
        str(root) if root.is_relative_to("/usr") else f"/toolchain/{number}"
        for number, root in enumerate(tool.roots)
    )
    tools = (
        BindReadOnly(source=str(root), target=place, of_user=True)
        for root, place in zip(tool.roots, places, strict=True)
        if str(root) != place
    )
    return SandboxPlan(
        step="bench",
        argv=_argv(tool, places),
        env=_environment(tool, places, "/project", home="/home/user"),
        cwd="/project",
        mounts=ordered((*system, *tools, mount)),
        writable=("/project", "/tmp", "/home/user"),
        limits=_LIMITS,
        network=NetworkPlan(observed=False),
    )


def _argv(tool: Tool, roots: tuple[str, ...]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", _TIMED, "sh", *(word.format(*roots) for word in tool.argv))


def _environment(tool: Tool, roots: tuple[str, ...], project: str, *, home: str) -> dict[str, str]:
    path = ":".join((*(f"{root}/bin" for root in roots), "/usr/bin", "/bin"))
    more = {name: value.format(project=project) for name, value in tool.environment.items()}
    return {"PATH": path, "HOME": home, **more}


def _took(tool: Tool, status: int, said: bytes, errors: bytes) -> Took:
    if status != 0:
        text = errors.decode(errors="replace").strip()
        raise ToolFailed(f"{tool.name} ended with {status}: {text[-300:]}")
    nanoseconds, _, children = said.decode().strip().split("\n")[-3:]
    minutes = (each.rstrip("s").split("m") for each in children.split())
    processor = sum(int(minute) * 60 + float(second) for minute, second in minutes)
    return Took(own=int(nanoseconds) / 1e9, processor=processor)


def clear(tool: Tool, place: Path) -> None:
    """Delete what a run made, and write the rest to the disk: each run pays for its own writes alone."""
    for name in tool.made:
        shutil.rmtree(place / name, ignore_errors=True)
    os.sync()
