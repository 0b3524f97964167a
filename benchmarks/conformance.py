"""`make conformance`: every template and every verb, cold, warm and offline, and beside the bare tool.

Cold is an empty cache of ours, warm the same cache for a second project, offline a third project
whose context has no network. The bare tool does the same to a plain copy, with a cache of its own
that has everything: what our verb took warm, over what that took, is the overhead; TURNS=N takes both
in N turns and gives the medians. A hole in the table is a verb that did not end well; the last line
counts them. "none" is a verb that the template has nothing for, and that says so by a typed error.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.measure import machine
from cloche import ClocheError, ExecutionContext, Kernel, KernelSettings
from cloche.kernel.project import Project
from cloche.kernel.run import Run
from cloche.model.event import Output, PreviewOpened, PreviewReady, UsageMeasured
from cloche.model.hosts import NetworkMode

_VERBS = ("resolve", "build", "test", "preview", "package", "validate")
_STATES = ("cold", "warm", "offline")
# A library is shown by nothing, and what `dotnet new` gives for these has no tests.
_NONE = frozenset(
    {
        ("rust-lib", "preview"),
        ("dotnet-classlib", "preview"),
        ("dotnet-console", "test"),
        ("dotnet-web", "test"),
        ("dotnet-worker", "test"),
    }
)
# As little as inside: certificates, colours and questions about newer versions cost time.
_QUIET = {
    "CI": "1",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
    "DOTNET_NOLOGO": "1",
    "DOTNET_GENERATE_ASPNET_CERTIFICATE": "false",
}
# What a person types for the same, by runtime and verb; a word "@name/..." is a file of a toolchain.
_BARE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "node": {
        "resolve": ("@node/bin/node", "@npm/bin/npm-cli.js", "ci", "--prefer-offline"),
        "build": ("@node/bin/node", "@npm/bin/npm-cli.js", "run", "build"),
        "test": ("@node/bin/node", "@npm/bin/npm-cli.js", "run", "test"),
    },
    "rust": {
        "resolve": ("@rust/bin/cargo", "fetch"),
        "build": ("@rust/bin/cargo", "build", "--release"),
        "test": ("@rust/bin/cargo", "test"),
    },
    "dotnet": {
        "resolve": ("@dotnet/dotnet", "restore"),
        "build": ("@dotnet/dotnet", "build", "--no-restore", "-c", "Release"),
        "test": ("@dotnet/dotnet", "test"),
    },
}
# Compilers that stay and wait for the next build are what a jar does away with: each build begins alike.
_SERVERS_END = {"dotnet": ("@dotnet/dotnet", "build-server", "shutdown")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a verb came to."""

    seconds: float
    peak: int = 0
    """Bytes of the step that held most; 0 where the machine could not tell."""
    refusal: str = ""
    """The code of the error, and its first line."""
    is_none: bool = False
    """The template has nothing to do this with, and the verb said so."""

    def __str__(self) -> str:
        if self.is_none:
            return "none"
        if self.refusal:
            return self.refusal.partition(":")[0]
        return f"{self.seconds:6.2f} s {self.peak >> 20 or '-':>5} MiB"


async def main(wanted: list[str], turns: int) -> int:
    """Print the table for the templates named, all when none is; give how many holes it has."""
    print(f"{machine()}\n")
    print(
        f"{'template':14} {'verb':9} {'cold':>18} {'warm':>18} {'offline':>18} {'bare':>9} {'over bare':>9}"
    )
    holes = []
    # What runs threw away is still being deleted, by a process that outlives them.
    with tempfile.TemporaryDirectory(
        prefix="cloche-conformance-", ignore_cleanup_errors=True
    ) as stage:
        settings = KernelSettings(
            state_home=Path(stage, "state"),
            cache_home=Path(stage, "cache"),
            environment=dict(os.environ),
        )
        async with Kernel.open(settings) as kernel:
            for template in kernel.templates():
                if not wanted or template.name in wanted:
                    holes += await _table(template.name, kernel, Path(stage), turns)
    for hole in holes:
        print(f"hole: {hole}")
    print(f"\n{len(holes)} holes")
    return len(holes)


async def _table(template: str, kernel: Kernel, stage: Path, turns: int) -> list[str]:
    """Print the rows of a template and give its holes."""
    cold = await _all_verbs(template, kernel, stage / f"{template}-cold", "cold")
    warm, bare = [], []
    for turn in range(turns):
        warm.append(await _all_verbs(template, kernel, stage / f"{template}-warm{turn}", "warm"))
        bare.append(await _do_bare(template, kernel, stage, turn))
    offline = await _all_verbs(template, kernel, stage / f"{template}-offline", "offline")
    for verb in cold:
        middle = _middle([row[verb] for row in warm if verb in row])
        times = [row[verb] for row in bare if verb in row and not middle.refusal]
        alone = median(times) if times else 0.0
        beside = f"{alone:6.2f} s" if alone else ""
        over = f"{middle.seconds / alone:8.2f}" if alone else ""
        cells = " ".join(f"{cell!s:>18}" for cell in (cold[verb], middle, offline.get(verb, "")))
        print(f"{template:14} {verb:9} {cells} {beside:>9} {over:>9}", flush=True)
    states = [("cold", cold), *(("warm", row) for row in warm), ("offline", offline)]
    found = [
        f"{template} {verb} {state}: {cell.refusal}"
        for state, row in states
        for verb, cell in row.items()
        if cell.refusal and not cell.is_none
    ]
    return list(dict.fromkeys(found))


def _middle(cells: list[Cell]) -> Cell:
    """Give the cell of median time, or the first that is a hole."""
    refused = [cell for cell in cells if cell.refusal]
    return (refused or sorted(cells, key=lambda cell: cell.seconds))[
        0 if refused else len(cells) // 2
    ]


async def _all_verbs(template: str, kernel: Kernel, directory: Path, state: str) -> dict[str, Cell]:
    began = time.monotonic()
    try:
        await kernel.scaffold(template, directory, "app")
        cells = {"scaffold": Cell(seconds=time.monotonic() - began)}
        project = await kernel.project(directory, context=_context(directory, state))
    except ClocheError as error:
        return {"scaffold": Cell(seconds=0, refusal=_said(error))}
    for verb in _VERBS:
        cell = await _do(project, verb)
        none = (template, verb) in _NONE and cell.refusal.startswith("cannot-plan")
        cells[verb] = replace(cell, is_none=none)
    return cells


def _context(directory: Path, state: str) -> ExecutionContext:
    context = ExecutionContext.full(directory)
    return replace(context, network_policy=NetworkMode.NONE) if state == "offline" else context


async def _do(project: Project, verb: str) -> Cell:
    run: Run = getattr(project, verb)()
    began, peak, seconds, opened = time.monotonic(), 0, 0.0, ""
    async for event in run:
        if isinstance(event, UsageMeasured):
            peak = max(peak, event.memory_peak_bytes or 0)
        if isinstance(event, PreviewOpened):
            opened = event.step
        # A service answers; a program of the terminal says its first words.
        if (isinstance(event, PreviewReady) and verb == "preview") or (
            isinstance(event, Output) and event.step == opened
        ):
            seconds = time.monotonic() - began
            run.cancel()
    try:
        await run
    except ClocheError as error:
        return Cell(seconds=time.monotonic() - began, peak=peak, refusal=_said(error))
    except asyncio.CancelledError:
        return Cell(seconds=seconds, peak=peak)
    return Cell(seconds=time.monotonic() - began, peak=peak)


def _said(error: ClocheError) -> str:
    return f"{error.code}: {error.headline}"


async def _do_bare(template: str, kernel: Kernel, stage: Path, turn: int) -> dict[str, float]:
    """Give the seconds that the bare tool took for each verb that it has; a verb that failed is not there."""
    directory, home = stage / f"{template}-bare{turn}", stage / "home"
    home.mkdir(exist_ok=True)
    await kernel.scaffold(template, directory, "app")
    project = await kernel.project(directory)
    runtime = project.detection.runtime_id if project.detection else ""
    tools = {tool.name: tool.host_root for tool in kernel.toolchains()}
    places = ":".join(f"{root}/bin:{root}" for root in tools.values())
    environment = {
        **_QUIET,
        "HOME": str(home),
        "PATH": f"{places}:{os.environ['PATH']}",
        "NODE_EXTRA_CA_CERTS": os.environ.get("NODE_EXTRA_CA_CERTS", ""),
    }
    for name in (".npmrc", ".nuget/NuGet", ".config/NuGet", ".cargo/config.toml"):
        users = Path(os.environ["HOME"], name)
        if users.exists() and not (home / name).exists():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(users)
    verbs = {
        verb: tuple(_place(word, tools) for word in argv)
        for verb, argv in _BARE.get(runtime, {}).items()
    }
    end = tuple(_place(word, tools) for word in _SERVERS_END.get(runtime, ()))

    async def timed(argv: tuple[str, ...]) -> float:
        seconds = await _time(argv, directory, environment)
        if end:
            await _time(end, directory, environment)
        return seconds

    if turn == 0 and "resolve" in verbs:  # fills its cache
        await timed(verbs["resolve"])
        for made in ("node_modules", "obj"):
            shutil.rmtree(directory / made, ignore_errors=True)
    found = {verb: await timed(argv) for verb, argv in verbs.items()}
    return {verb: seconds for verb, seconds in found.items() if seconds}


def _place(word: str, tools: Mapping[str, str]) -> str:
    name, _, rest = word.removeprefix("@").partition("/")
    return f"{tools[name]}/{rest}" if word.startswith("@") and name in tools else word


async def _time(argv: tuple[str, ...], directory: Path, environment: Mapping[str, str]) -> float:
    began = time.monotonic()
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=directory, env=environment, stdin=-3, stdout=-3, stderr=-3
        )
    except OSError:
        return 0.0
    return time.monotonic() - began if await process.wait() == 0 else 0.0


if __name__ == "__main__":
    try:
        sys.exit(min(asyncio.run(main(sys.argv[1:], int(os.environ.get("TURNS", "1")))), 1))
    except ClocheError as error:
        sys.exit(error.explain())
