"""`cloche`: arguments to a kernel call, events to lines, errors to exit statuses."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from cloche.assembly import Kernel
from cloche.cli import inspect
from cloche.cli.changes import changes
from cloche.cli.parser import make_parser
from cloche.cli.redteam import redteam
from cloche.cli.show import Shower, make_shower
from cloche.errors import ClocheError, SystemRefused
from cloche.kernel.context import KernelSettings, RunOptions, RunResult
from cloche.kernel.project import Project
from cloche.kernel.run import Run
from cloche.model.conflicts import Conflicts

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    arguments = make_parser().parse_args(argv)
    try:
        return asyncio.run(_command(arguments))
    except ClocheError as error:
        _print_error(error, as_json=arguments.json)
        return error.exit_status
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone; the interpreter's own flush at exit would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        refused = SystemRefused(arguments.command, error)
        _print_error(refused, as_json=arguments.json)
        return refused.exit_status


async def _command(arguments: argparse.Namespace) -> int:
    """Dispatch; an interrupt cancels that once, and what cleans up after it is not interrupted again."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end() -> None:
        loop.add_signal_handler(signal.SIGINT, _go_on_ending)
        task.cancel()

    # asyncio's own handler raises KeyboardInterrupt at the second one, wherever the loop then is.
    loop.add_signal_handler(signal.SIGINT, end)
    return await _dispatch(arguments)


def _go_on_ending() -> None:
    """Answer an interrupt of what is coming to its end already, in moments."""


async def _dispatch(arguments: argparse.Namespace) -> int:
    if arguments.command == "policy":
        return inspect.policy(arguments)
    if arguments.command in ("verify", "key"):
        from cloche.cli import verify  # noqa: PLC0415 - loads cryptography, which others need not

        return verify.verify(arguments) if arguments.command == "verify" else verify.key(arguments)
    async with Kernel.open(KernelSettings(policy=arguments.policy)) as kernel:
        match arguments.command:
            case "doctor":
                return await inspect.doctor(kernel, as_json=arguments.json)
            case "jobs":
                return await inspect.jobs(kernel, as_json=arguments.json)
            case "scaffold":
                return await inspect.scaffold(kernel, arguments)
            case "undo" | "recover" | "where":
                project = await kernel.project(arguments.directory, any_directory=True)
                return await inspect.transactions(project, arguments)
            case "diff" | "commit" | "discard":
                project = await kernel.project(arguments.directory, any_directory=True)
                return await changes(project, arguments)
            case "redteam":
                return await redteam(kernel, arguments)
            case "run":
                return await _run(kernel, arguments)
            case _:
                project = await kernel.project(arguments.directory, parts=tuple(arguments.part))
                return await _verb(project, arguments)


async def _run(kernel: Kernel, arguments: argparse.Namespace) -> int:
    argv = tuple(arguments.argv)
    argv = argv[1:] if argv[:1] == ("--",) else argv
    if not argv:
        make_parser().error("run: say what to run, after --")
    named = arguments.network.split(",")
    options = replace(
        _options(arguments),
        network=() if named == ["none"] else tuple(named),
        keep=arguments.keep,
        discard=arguments.discard,
        stdin=None if sys.stdin is None or sys.stdin.isatty() else _read_stdin,
    )
    project = await kernel.project(arguments.project, any_directory=True)
    shower = make_shower(as_json=arguments.json, raw=True)
    return (await _follow(project.run(argv, options), shower)).exit_status


def _options(arguments: argparse.Namespace) -> RunOptions:
    """Give what every command that runs something may be told."""
    return RunOptions(
        memory_bytes=arguments.memory,
        cpu_percent=arguments.cpu,
        processes=arguments.pids,
        timeout_seconds=arguments.timeout,
        wait_seconds=arguments.wait,
        hold=arguments.hold,
        conflicts=Conflicts(arguments.conflicts),
        check_reads=arguments.check_reads,
    )


def _read_stdin() -> bytes:
    return os.read(0, 65536)


async def _verb(project: Project, arguments: argparse.Namespace) -> int:
    options = replace(
        _options(arguments),
        port=getattr(arguments, "port", 0),
        fresh=getattr(arguments, "fresh", False),
        stdin=_read_stdin if arguments.command == "preview" and sys.stdin is not None else None,
    )
    run: Run = getattr(project, arguments.command)(options)
    # What a server or a worker says is what one looks at a preview for.
    log = arguments.log or arguments.command == "preview"
    result = await _follow(run, make_shower(as_json=arguments.json, log=log))
    return result.exit_status


async def _follow(run: Run, shower: Shower) -> RunResult:
    """Show a run to its end; an interrupt cancels it and waits until nothing of it is left."""
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means to go on
        numbers.append(signal.SIGHUP)
    for number in (signal.SIGINT, *numbers):
        loop.add_signal_handler(number, run.cancel)
    try:
        with contextlib.closing(shower):
            async for event in run:
                shower.show(event)
        return await run
    finally:
        loop.add_signal_handler(signal.SIGINT, _go_on_ending)
        for number in numbers:
            loop.remove_signal_handler(number)


def _print_error(error: ClocheError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(error.to_json()))
        return
    first, *rest = inspect.safe(error.explain()).split("\n")
    print(f"cloche: {first}", *(f"        {line}" for line in rest), sep="\n", file=sys.stderr)
