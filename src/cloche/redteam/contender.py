"""Who is attacked: Cloche as it is used, peers as their own documents use them, and nothing at all."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cloche.errors import ClocheError
from cloche.kernel.context import ExecutionContext, RunOptions
from cloche.kernel.kernel import Kernel
from cloche.sandbox.features import Feature, Support

_PATIENCE = 300.0
_NOT_HELD = (
    "without control groups memory that is no process's own is not held (docs/threat-model.md)"
)
Run = Callable[[tuple[str, ...], Path], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A sandbox: `run` gives what a command in it printed, whatever became of the command."""

    name: str
    run: Run
    missing: str = ""
    """Why it cannot be tried here, when it cannot."""
    admits: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    """Gives what it says itself that it does not hold on this machine: words for the attacks."""


def cloche(kernel: Kernel) -> Contender:
    """Give Cloche: `run` as a user calls it, with limits that a test can reach."""
    options = RunOptions(
        memory_bytes=256 << 20, processes=64, timeout_seconds=_PATIENCE, discard=True
    )

    async def run(argv: tuple[str, ...], project: Path) -> str:
        said: list[bytes] = []
        context = replace(
            ExecutionContext.full(project),
            on_log=lambda stream, data: said.append(data) if stream == "stdout" else None,
        )
        opened = await kernel.project(project, any_directory=True, context=context)
        try:
            await opened.run(argv, options)
        except ClocheError as error:
            said.append(f"\ncloche: {error.code}\n".encode())
        return b"".join(said).decode("utf-8", "replace")

    async def admits() -> Mapping[str, str]:
        finding = (await kernel.doctor()).finding(Feature.MEMORY_LIMIT)
        return {} if finding.support is Support.FULL else {"hidden_memory": _NOT_HELD}

    return Contender(name="cloche", run=run, admits=admits)


def peers() -> tuple[Contender, ...]:
    """Give the others, strongest settings that need no file of their own; the last is no sandbox."""
    return (
        _command("bwrap", _bwrap),
        _command("firejail", _firejail),
        _command("unshare", _unshare),
        Contender(name="none", run=_runner(_nothing)),
    )


Wrap = Callable[[tuple[str, ...], Path], tuple[str, ...]]


def _command(name: str, wrap: Wrap) -> Contender:
    missing = "" if shutil.which(name) else f"{name} is not installed"
    return Contender(name=name, run=_runner(wrap), missing=missing)


def _runner(wrap: Wrap) -> Run:
    async def run(argv: tuple[str, ...], project: Path) -> str:
        process = await asyncio.create_subprocess_exec(
            *wrap(argv, project),
            cwd=project,
            env=_environment(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            close_fds=False,  # a careless caller is part of the trial
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
        except TimeoutError:
            process.kill()
            return ""
        return said.decode("utf-8", "replace")

    return run


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {**environment, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


def _bwrap(argv: tuple[str, ...], project: Path) -> tuple[str, ...]:
    links = [
        ("usr/bin", "/bin"),
        ("usr/sbin", "/sbin"),
        ("usr/lib", "/lib"),
        ("usr/lib64", "/lib64"),
    ]
    shown = [word for to, at in links for word in ("--symlink", to, at)]
    return (
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
        *("--cap-drop", "ALL", "--hostname", "sandbox", "--ro-bind", "/usr", "/usr", *shown),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home/user"),  # noqa: S108 - inside
        *("--bind", str(project), "/project", "--chdir", "/project", "--", *argv),
    )


def _firejail(argv: tuple[str, ...], project: Path) -> tuple[str, ...]:
    return (
        *("firejail", "--quiet", "--noprofile", "--net=none", "--private-dev", "--private-tmp"),
        *("--caps.drop=all", "--seccomp", "--nonewprivs", "--noroot", f"--private={project}"),
        *("--", *argv),
    )


def _nothing(argv: tuple[str, ...], project: Path) -> tuple[str, ...]:
    del project
    return argv


def _unshare(argv: tuple[str, ...], project: Path) -> tuple[str, ...]:
    del project
    return ("unshare", "-Urmpfniu", "--mount-proc", "--", *argv)
