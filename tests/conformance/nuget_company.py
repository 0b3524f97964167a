"""A user of a company's NuGet feed."""

from pathlib import Path
from typing import Any

from tests.conformance.company_double import Authority
from tests.conformance.dotnet_sdk import Sdk
from tests.conformance.employee import Employee
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


class Company(Employee):
    """One whose packages are those of a feed."""

    def __init__(self, home: Path, project: Path, sdk: Sdk, authority: Authority) -> None:
        super().__init__(home, project)
        for directory in (home / ".nuget/NuGet", project):
            directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "DOTNET_ROOT": sdk.tool.host_root,
            "SSL_CERT_FILE": str(authority.certificate),
        }

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

    def kept(self) -> list[Path]:
        """Give the packages in the cache that projects share."""
        return sorted((self.home / ".cache/cloche").rglob("*.nupkg"))


def said(events: list[dict[str, Any]], kind: str, key: str) -> set[str]:
    """Give what the events of one kind have under `key`."""
    return {event[key] for event in events if event["type"] == kind}


def found(events: list[dict[str, Any]]) -> str:
    """Give what tools found wrong, with codes and hints, as one text."""
    all_of_it = (event["diagnostic"] for event in events if event["type"] == "found")
    return "\n".join(f"{one['code']} {one['message']} ({one['hint']})" for one in all_of_it)
