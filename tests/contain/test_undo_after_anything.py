"""What a run brought to the project does not keep its user from taking it back."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MANIFEST = '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'


@pytest.fixture
def home(prefix: tuple[str, ...]) -> Iterator[Path]:
    """A user's home with an empty project in it."""
    with tempfile.TemporaryDirectory(prefix="cloche-undo-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        (home / "project").mkdir()
        for path in (home, home / "project") if prefix else ():
            os.chown(path, 65534, 65534)
        yield home


def cloche(
    home: Path, prefix: tuple[str, ...], *words: str, path: str = "", status: int = 0
) -> str:
    """Run the command; give what it says, and insist on its exit status."""
    who = [shutil.which(prefix[0]) or prefix[0], *prefix[1:]] if prefix else []
    done = subprocess.run(
        [*who, sys.executable, "-m", "cloche", *words],
        env={"PATH": path or os.environ["PATH"], "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def brought(home: Path, prefix: tuple[str, ...], script: str) -> Path:
    project = home / "project"
    cloche(home, prefix, "run", "--project", str(project), "--", "sh", "-c", script)
    assert list(project.iterdir())
    return project


def test_a_manifest_of_a_tool_that_is_missing_is_taken_back(
    home: Path, prefix: tuple[str, ...]
) -> None:
    project = brought(home, prefix, f"printf '{MANIFEST}' > Cargo.toml")
    words = ("run", "--network", "registries", "--project", str(project), "--", "true")
    said = cloche(home, prefix, *words, path=str(home / "no-tools"), status=116)
    assert "rust 1.78 or newer is needed" in said
    for verb in ("diff", "recover", "undo"):
        cloche(home, prefix, verb, str(project), path=str(home / "no-tools"))
    assert list(project.iterdir()) == []


def test_a_directory_that_nobody_may_enter_is_taken_back(
    home: Path, prefix: tuple[str, ...]
) -> None:
    project = brought(home, prefix, "mkdir shut; echo x > shut/x; chmod 0 shut")
    for verb in ("recover", "undo"):
        cloche(home, prefix, verb, str(project))
    assert list(project.iterdir()) == []
