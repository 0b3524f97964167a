"""A user of a company's NuGet feed: a home, a project, and `cloche` as this user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conformance.company_double import Authority
from tests.conformance.dotnet_sdk import Sdk
from tests.conformance.nuget_double import Feed, nuget_config

FRAMEWORK = "<TargetFramework>net10.0</TargetFramework>"


def application(*packages: str, more: str = "", properties: str = "") -> str:
    """Give a console program's project. A package is NAME VERSION, or a name alone."""
    items = "".join(
        f'<PackageReference Include="{name}"{f" Version={version!r}" if version else ""} />'
        for name, _, version in (package.partition(" ") for package in packages)
    )
    return (
        f'<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType>{FRAMEWORK}'
        f"{properties}</PropertyGroup><ItemGroup>{items}</ItemGroup>{more}</Project>"
    )


class Company:
    """A user's home and project; several may share a home, and so its caches."""

    def __init__(self, home: Path, project: Path, sdk: Sdk, authority: Authority) -> None:
        self.home, self.project = home, project
        for directory in (home / ".nuget/NuGet", project):
            directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "DOTNET_ROOT": sdk.tool.host_root,
            "SSL_CERT_FILE": str(authority.certificate),
        }
        self.said = ""

    def use(self, feed: Feed, *, more: str = "", login: tuple[str, str] | None = None) -> None:
        """Name `feed` in the user's own configuration."""
        self.configure(nuget_config(feed.url, more=more, login=login))

    def configure(self, text: str) -> None:
        """Write the user's own configuration."""
        (self.home / ".nuget/NuGet/NuGet.Config").write_text(text)

    def write(self, files: dict[str, str]) -> None:
        """Write files of the project."""
        for name, content in files.items():
            target = self.project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)

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

    def kept(self) -> list[Path]:
        """Give the packages in the cache that projects share."""
        return sorted((self.home / ".cache/cloche").rglob("*.nupkg"))

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


def said(events: list[dict[str, Any]], kind: str, key: str) -> set[str]:
    """Give what the events of one kind have under `key`."""
    return {event[key] for event in events if event["type"] == kind}


def found(events: list[dict[str, Any]]) -> str:
    """Give what tools found wrong, with codes and hints, as one text."""
    all_of_it = (event["diagnostic"] for event in events if event["type"] == "found")
    return "\n".join(f"{one['code']} {one['message']} ({one['hint']})" for one in all_of_it)
