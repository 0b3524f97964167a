"""Who uses the command: whoever runs the tests and, from root, an ordinary user too; each with a home."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.command import WHAT_THE_MACHINE_LACKS, Ended

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_LONGEST = 300.0
_ROOT = Path(__file__).resolve().parents[2]


def identities() -> list[str]:
    return ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user with a directory of their own, in which projects lie."""

    place: Path
    before: tuple[str, ...]
    """What goes before a command so that they run it."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def own(self, path: Path) -> Path:
        """Give them a tree that was written for them."""
        if self.before:
            for each in (path, *path.rglob("*")):
                os.chown(each, 65534, 65534, follow_symlinks=False)
        return path

    def cloche(self, verb: str, *words: str) -> Ended:
        """Run a verb to its end; skip when the machine cannot run any."""
        with self.start(verb, *words) as process:
            assert process.stdout is not None
            events = tuple(json.loads(line) for line in process.stdout)
            status = process.wait(60)
        if status and (code := events[-1].get("code")) in WHAT_THE_MACHINE_LACKS:
            pytest.skip(f"{code}: {events[-1].get('message')}")
        return Ended(status=status, events=events)

    def await_output(self, text: str, verb: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
        """Run a verb until its program prints `text`, then interrupt it: (exit status, all events)."""
        events: list[dict[str, Any]] = []
        printed = ""
        with self.start(verb, *words) as process:
            assert process.stdout is not None
            for line in process.stdout:
                events.append(json.loads(line))
                if events[-1]["type"] == "output":
                    printed += events[-1]["data"]
                    if text in printed:
                        process.send_signal(signal.SIGINT)
                        text = "\0"  # once is enough
            return process.wait(60), events

    @contextmanager
    def start(self, verb: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """Start a verb; whatever happens it has ended when the block does."""
        process = subprocess.Popen(
            [*self.before, sys.executable, "-P", "-m", "cloche", verb, "--json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=dict(self.environment),
        )
        # One that waits for what never comes is ended, and its test fails.
        watchdog = threading.Timer(_LONGEST, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)
            assert process.stdout is not None
            process.stdout.close()


def command_prefix(identity: str) -> tuple[str, ...]:
    """Give what starts a command as `identity`; skip where that user cannot come to the checkout."""
    if identity == "root" or os.geteuid() != 0:
        return ()
    if not may_enter():
        pytest.skip("an ordinary user: none may enter where this clone or its Python lies")
    return NOBODY


def may_enter() -> bool:
    """Tell whether others may come to the checkout and to its Python."""
    places = (Path(sys.executable), Path(os.path.realpath(sys.executable)), _ROOT)
    return all(parent.stat().st_mode & 0o001 for place in places for parent in place.parents)


def weakest() -> str:
    """Give the user of least privilege that can run the command here."""
    return "ordinary" if os.geteuid() != 0 or may_enter() else "root"
