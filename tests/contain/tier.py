"""The landlock tier as a test starts it: an ordinary user, a policy that accepts it, namespaces refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "src/cloche/policy/default.yaml"
Cloche = Callable[..., subprocess.CompletedProcess[str]]


def has_landlock() -> bool:
    from cloche_launch.landlock import abi  # noqa: PLC0415 - of this check alone

    return abi() >= 4


needs_landlock = pytest.mark.skipif(
    not has_landlock(), reason="needs Landlock of ABI 4 (Linux 6.7) or newer, switched on"
)


def command(verb: str) -> list[str]:
    return [sys.executable, "-P", "-m", "cloche", verb, "--json"]


def environment(place: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place / "home"),
        "PYTHONPATH": os.environ.get("CLOCHE_TEST_SOURCE", ""),
        "CLOCHE_TEST_FEATURES": "user-namespace=none",
        # The bait's place must not be one that a plan's words are rewritten to: /tmp means its own.
        "TMPDIR": "/var/tmp",
    }


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def printed(done: subprocess.CompletedProcess[str]) -> str:
    return "".join(e["data"] for e in events(done) if e["type"] == "output")


def run_in(place: Path, cloche: Cloche, *argv: str, **options: Any) -> Any:
    return cloche("run", "--project", str(place / "project"), "--", *argv, **options)


def popen(
    place: Path, ordinary: tuple[str, ...], script: str, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start a run of a shell script, and do not wait for it."""
    words = ["--project", str(place / "project"), "--policy", str(place / "policy.yaml")]
    return subprocess.Popen(
        [*ordinary, *command("run"), *words, "--", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        text=True,
        env=environment(place),
    )


def uid() -> int:
    """Give whose the runs are: the ordinary user that root becomes, or who runs the tests."""
    return os.geteuid() or 65534
