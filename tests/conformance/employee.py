"""Somebody at a company: a home, a project, and `cloche` as this user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Employee:
    """A user's home and project; several may share a home, and so its caches."""

    def __init__(self, home: Path, project: Path) -> None:
        self.home, self.project = home, project
        self.environment: dict[str, str] = {}
        self.said = ""
        """All that the last command printed."""

    def cloche(self, verb: str) -> list[dict[str, Any]]:
        """Run a verb; give its events."""
        done = subprocess.run(
            [sys.executable, "-m", "cloche", verb, "--json", "--log", str(self.project)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.stdout, done.stderr
        self.said = done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def places_of(self, secret: str) -> list[str]:
        """Give every file of project, state and caches that holds `secret`, and the output if it does."""
        found = ["output"] if secret in self.said else []
        for root in (self.project, self.home / ".local", self.home / ".cache"):
            found += [
                str(path)
                for path in root.rglob("*")
                if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes()
            ]
        return found
