"""The sandbox as a fixture, started by whoever runs the tests and, from root, by an ordinary user too."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.contain.attacker import NAMES, PRELUDE, RULES
from tests.contain.tier import DEFAULT, ROOT, Cloche, command, environment
from tests.contain.upstream_double import Upstream

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
Sandbox = Callable[..., SimpleNamespace]


def identities() -> list[str]:
    return ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]


@pytest.fixture(params=identities())
def identity(request: pytest.FixtureRequest) -> str:
    """Who starts the sandbox."""
    return str(request.param)


@pytest.fixture(scope="session")
def public() -> Iterator[Path]:
    """A copy of source and jar that an ordinary user may read, wherever root keeps this clone.

    Not pytest's own temporary directory, which is private.
    """
    with tempfile.TemporaryDirectory(prefix="cloche-public-") as name:
        copy = Path(name)
        copy.chmod(0o755)
        shutil.copytree(SOURCE, copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE / "jail.py", copy / "jail.py")
        yield copy


@pytest.fixture
def start(identity: str, request: pytest.FixtureRequest) -> tuple[tuple[str, ...], str]:
    """How `identity` starts the jar: (the command, where its source lies)."""
    changed = os.environ.get("CLOCHE_TEST_SOURCE", "")  # a copy with one barrier removed
    if identity == "root" or os.geteuid() != 0:
        return (sys.executable, str(HERE / "jail.py")), changed
    # The jar takes the standard library alone, so the interpreter below any .venv will do.
    python = os.path.realpath(sys.executable)
    if _is_private(Path(python)):
        pytest.skip("user-namespace of an ordinary user: none may enter the home of this Python")
    public: Path = request.getfixturevalue("public")
    return (*NOBODY, python, str(public / "jail.py")), changed or str(public / "src")


@pytest.fixture
def prefix(identity: str) -> tuple[str, ...]:
    """What goes before a command of the whole of Cloche so that `identity` runs it."""
    if identity == "root" or os.geteuid() != 0:
        return ()
    places = (sys.executable, os.path.realpath(sys.executable), str(SOURCE))
    if any(_is_private(Path(place)) for place in places):
        pytest.skip("user-namespace of an ordinary user: none may enter the home of this clone")
    return NOBODY


def _is_private(path: Path) -> bool:
    return any(not parent.stat().st_mode & 0o001 for parent in path.parents)


@pytest.fixture
def sandbox(start: tuple[tuple[str, ...], str]) -> Sandbox:
    """Run a command inside: sandbox("sh", "-c", "...", limits={...}, files={...})."""
    command, source = start

    def run(*argv: str, **options: Any) -> SimpleNamespace:
        request = json.dumps({"argv": argv, **options})
        done = subprocess.run(
            [*command, request],
            capture_output=True,
            timeout=120,
            check=False,
            env={
                "PATH": "/usr/bin:/bin:/usr/sbin",
                "HOME": "/nonexistent",
                "CANARY": "from-outside",
                "PYTHONPATH": source,
                "PYTHONDONTWRITEBYTECODE": "1",
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


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    try:
        made = Upstream()
    except PermissionError:
        pytest.skip("needs the right to listen on ports 80 and 443 of the loopback")
    with made:
        yield made


@pytest.fixture
def attack(sandbox: Callable[..., SimpleNamespace], upstream: Upstream) -> Sandbox:
    """Run a Python program inside, with the names and rules above."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3, which the sandbox shows")
    assert upstream.connections() == 0

    def run(program: str, **options: Any) -> SimpleNamespace:
        done = sandbox(
            *("/usr/bin/python3", "-I", "-c", PRELUDE + program),
            egress={"rules": RULES, "names": NAMES, **options.pop("egress", {})},
            **options,
        )
        assert done.status == 0, done.stderr
        return done

    return run


@pytest.fixture
def ordinary() -> tuple[str, ...]:
    """What goes before a command so that an ordinary user runs it."""
    if os.geteuid() != 0:
        return ()
    for place in (Path(sys.executable), Path(os.path.realpath(sys.executable)), ROOT):
        if any(not parent.stat().st_mode & 0o001 for parent in place.parents):
            pytest.skip(
                "the landlock tier of an ordinary user: none may enter where this clone lies"
            )
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def place(ordinary: tuple[str, ...]) -> Iterator[Path]:
    """A directory of that user's own with a home, a project, and a policy that accepts the tier."""
    with tempfile.TemporaryDirectory(prefix="cloche-tier-", ignore_cleanup_errors=True) as name:
        top = Path(name)
        (top / "home").mkdir()
        (top / "project").mkdir()
        text = DEFAULT.read_text()
        assert "tier: namespaces" in text
        (top / "policy.yaml").write_text(text.replace("tier: namespaces", "tier: landlock"))
        if ordinary:
            for each in (top, *top.iterdir()):
                os.chown(each, 65534, 65534)
        yield top


@pytest.fixture
def cloche(place: Path, ordinary: tuple[str, ...]) -> Cloche:
    """Run a command of Cloche where user namespaces are refused."""

    def run(*words: str, accepts: bool = True, of: tuple[str, ...] | None = None) -> Any:
        policy = ("--policy", str(place / "policy.yaml")) if accepts else ()
        return subprocess.run(
            [*(ordinary if of is None else of), *command(words[0]), *policy, *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            cwd="/",
            env=environment(place),
        )

    return run
