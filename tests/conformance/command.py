"""The command as a caller that reads its events has it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WHAT_THE_MACHINE_LACKS = ("no-toolchain", "cannot-confine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a run of the command said."""

    status: int
    events: tuple[dict[str, Any], ...]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Give the events of one kind."""
        return [event for event in self.events if event["type"] == kind]

    def codes(self) -> set[str]:
        """Give the codes of what tools found."""
        return {event["diagnostic"]["code"] for event in self.of("found")}


def cloche(project: Path, verb: str, *options: str) -> Ended:
    """Run a verb with a state directory of its own; skip when the machine cannot run any."""
    done = subprocess.run(
        [sys.executable, "-m", "cloche", verb, "--json", *options, str(project)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "XDG_STATE_HOME": str(project.parent / "state")},
    )
    return read_ended(done)


def read_ended(done: subprocess.CompletedProcess[str]) -> Ended:
    """Read what a command with --json said; skip when the machine cannot run any."""
    ended = Ended(
        status=done.returncode,
        events=tuple(json.loads(line) for line in done.stdout.splitlines()),
    )
    if ended.status and (code := ended.events[-1].get("code")) in WHAT_THE_MACHINE_LACKS:
        pytest.skip(f"{code}: {done.stderr.strip()}")
    return ended
