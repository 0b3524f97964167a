"""Builds in the jar, on an overlay that is committed, against the same tools bare on the same disk.

A tool's own time is what the overlay and the jar make of it; the rest of a run (begin, spawn, end,
commit) is given apart, since it does not grow with the tool's work.
"""

import asyncio
import os
import shutil
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.inside import (
    Took,
    Tool,
    ToolFailed,
    clear,
    run_bare,
    run_committed,
    run_jailed,
    run_stacked,
    split,
)
from benchmarks.measure import Figure, Row, missing, ratios
from benchmarks.projects import cargo_build, npm_ci, vite_build
from benchmarks.tree import on_disk
from cloche import ClocheError, Kernel, KernelSettings
from cloche.kernel.run import Run
from cloche.platforms.linux.spawn import LinuxPlatform

_TARGET = 1.05
_WHOLE = 1.10


async def rows(turns: int = 5) -> Sequence[Row | Figure]:
    """Measure `npm ci`, `vite build` and `cargo build`, and the verbs that run the first two."""
    with tempfile.TemporaryDirectory(prefix="cloche-bench-", dir=on_disk()) as name:
        stage, found = Path(name), list[Row | Figure]()
        settings = KernelSettings(
            state_home=stage / "state", cache_home=stage / "cache", environment=dict(os.environ)
        )
        async with Kernel.open(settings) as kernel:
            makers: dict[str, Callable[[Path], Awaitable[Tool]]] = {
                "npm ci": lambda place: npm_ci(kernel, stage / "cache", place),
                "vite build": lambda place: vite_build(kernel, place),
                "cargo build": lambda place: cargo_build(place, os.environ),
            }
            tools: dict[str, Tool] = {}
            for number, (what, make) in enumerate(makers.items()):
                try:
                    tools[what] = await make(stage / f"of-{number}/project")
                    found += await _measure(tools[what], stage / f"of-{number}", turns)
                except (ClocheError, ToolFailed) as error:
                    found.append(missing(what, "bare", str(error)))
            verbs = {"npm ci": "resolve", "vite build": "build"}
            for what, verb in verbs.items():
                if what in tools:
                    found.append(await _whole(kernel, verb, tools[what], turns))
        return found


async def _measure(tool: Tool, home: Path, turns: int) -> list[Row | Figure]:
    bare, base = home / "bare", home / "in-the-jar"
    for place in (bare, base):
        shutil.copytree(tool.project, place, symlinks=True)
    lowers = split(tool, home / "stack")
    clear(tool, bare)
    platform = LinuxPlatform()
    ways: dict[str, Callable[[], Awaitable[Took]]] = {
        "bare": lambda: run_bare(tool, bare),
        "jar": lambda: run_jailed(platform, tool, bare),
        "overlay": lambda: run_committed(platform, tool, base, home / "state"),
        "stack": lambda: run_stacked(platform, tool, lowers, home / "scratch"),
    }
    took: dict[str, list[Took]] = {way: [] for way in ways}
    try:
        for turn in range(turns + 1):  # the first only warms
            for way, run in ways.items():
                once = await run()
                await asyncio.to_thread(clear, tool, bare)
                took[way] += [once] if turn else []
    finally:
        await platform.close()
    return _told(tool.name, took)


def _told(name: str, took: dict[str, list[Took]]) -> list[Row | Figure]:
    own = {way: [once.own for once in times] for way, times in took.items()}
    cost = {way: [once.processor for once in times] for way, times in took.items()}
    whole = [once.own + once.around + once.commit for once in took["overlay"]]
    around = statistics.median(once.around for once in took["overlay"]) * 1e3
    commit = statistics.median(once.commit for once in took["overlay"]) * 1e3
    return [
        ratios(f"{name}: on an overlay", own["overlay"], "bare", own["bare"], _TARGET),
        ratios("  the same, of the processor's time", cost["overlay"], "bare", cost["bare"], None),
        ratios("  in the jar, no overlay", own["jar"], "bare", own["bare"], None),
        ratios("  on an overlay of 4 layers", own["stack"], "1 layer", own["overlay"], None),
        ratios("  from begin to committed", whole, "bare", own["bare"], None),
        Figure(name="  of that around the tool", found=f"{around:.1f} ms, commit {commit:.1f} ms"),
    ]


async def _whole(kernel: Kernel, verb: str, tool: Tool, turns: int) -> Row:
    """Measure what a user waits for: a verb from its call to its committed end."""
    bare = tool.project.parent / "bare"
    project = await kernel.project(tool.project)
    mine, theirs = list[float](), list[float]()
    for turn in range(turns + 1):
        await asyncio.to_thread(clear, tool, tool.project)
        run: Run = getattr(project, verb)()
        seconds = (await run).seconds
        await asyncio.to_thread(clear, tool, bare)
        once = await run_bare(tool, bare)
        if turn:
            mine.append(seconds)
            theirs.append(once.own)
    return ratios(f"`cloche {verb}`: {tool.name}", mine, "bare", theirs, _WHOLE)
