"""The sandbox as a fixture, started by whoever runs the tests and, from root, by an ordinary user too."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

JAIL = Path(__file__).with_name("jail.py")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
Sandbox = Callable[..., SimpleNamespace]


def identities() -> list[str]:
    return ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]


@pytest.fixture(params=identities())
def identity(request: pytest.FixtureRequest) -> str:
    """Who starts the sandbox."""
    return str(request.param)


@pytest.fixture
def prefix(identity: str) -> tuple[str, ...]:
    """What goes before a command so that `identity` runs it."""
    if identity == "root" or os.geteuid() != 0:
        return ()
    if not os.access(sys.executable, os.X_OK) or _is_private(Path(sys.executable)):
        pytest.skip("the interpreter lies in a private home that an ordinary user cannot enter")
    return NOBODY


def _is_private(path: Path) -> bool:
    real = Path(os.path.realpath(path))
    return any(not parent.stat().st_mode & 0o001 for parent in (*path.parents, *real.parents))


@pytest.fixture
def sandbox(prefix: tuple[str, ...]) -> Sandbox:
    """Run a command inside: sandbox("sh", "-c", "...", limits={...}, files={...})."""

    def run(*argv: str, **options: Any) -> SimpleNamespace:
        request = json.dumps({"argv": argv, **options})
        done = subprocess.run(
            [*prefix, sys.executable, str(JAIL), request],
            capture_output=True,
            timeout=120,
            check=False,
            env={
                "PATH": "/usr/bin:/bin:/usr/sbin",
                "HOME": "/nonexistent",
                "CANARY": "from-outside",
                # Where a test of the tests keeps a copy of the source with one barrier removed.
                "PYTHONPATH": os.environ.get("CLOCHE_TEST_SOURCE", ""),
            },
        )
        assert done.returncode == 0, done.stderr.decode()
        return SimpleNamespace(**json.loads(done.stdout))

    return run


@pytest.fixture
def shell(sandbox: Sandbox) -> Sandbox:
    """Run a shell script inside."""

    def run(script: str, **options: Any) -> SimpleNamespace:
        return sandbox("/bin/sh", "-c", script, **options)

    return run


@pytest.fixture
def python(sandbox: Sandbox) -> Sandbox:
    """Run a Python program inside."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3, which the sandbox shows")

    def run(program: str, **options: Any) -> SimpleNamespace:
        return sandbox("/usr/bin/python3", "-I", "-c", program, **options)

    return run
