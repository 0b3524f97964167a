"""Locks, central versions and global.json, resolved for real from a feed over TLS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.company_double import Authority
from tests.conformance.dotnet_sdk import Sdk
from tests.conformance.nuget_company import FRAMEWORK, Company, application, found, said
from tests.conformance.nuget_double import Feed, package

from cloche.runtimes.dotnet.archive import content_hash

pytestmark = pytest.mark.slow

LOCKED = "<RestorePackagesWithLockFile>true</RestorePackagesWithLockFile>"
SERILOG = "/flat/serilog/4.4.0/serilog.4.4.0.nupkg"
CONSOLE = "Serilog.Sinks.Console 6.1.1"


@pytest.fixture
def feed(sdk: Sdk, authority: Authority) -> Iterator[Feed]:
    with Feed(authority.context_for("localhost")) as made:
        made.add(sdk.feed, "serilog*", "newtonsoft*")
        yield made


@pytest.fixture
def company(tmp_path: Path, sdk: Sdk, authority: Authority, feed: Feed) -> Company:
    made = Company(tmp_path / "home", tmp_path / "project", sdk, authority)
    made.use(feed)
    made.write({"app.cs": "System.Console.WriteLine(typeof(Serilog.Log).Assembly);"})
    return made


def lock_of(company: Company, place: str = "") -> dict[str, Any]:
    document = json.loads((company.project / place / "packages.lock.json").read_text())
    packages: dict[str, Any] = document["dependencies"]["net10.0"]
    return packages


def test_a_lock_is_made_where_the_project_wants_one_and_holds_a_version_that_floats(
    company: Company, feed: Feed, sdk: Sdk
) -> None:
    company.write({"app.csproj": application("Serilog 4.*", properties=LOCKED)})
    events = company.cloche("resolve")
    assert events[-1]["outcome"] == "ok", company.said
    locked = lock_of(company)["Serilog"]
    with (sdk.feed / "serilog.4.4.0.nupkg").open("rb") as file:
        assert (locked["resolved"], locked["contentHash"]) == ("4.4.0", content_hash(file))
    # A newer one would be chosen, were it not for the lock.
    feed.packages["serilog", "4.5.0"] = package("Serilog", "4.5.0")
    assert company.cloche("build")[-1]["outcome"] == "ok", company.said
    feed.asked.clear()
    events = company.cloche("resolve")
    assert events[-1]["outcome"] == "ok", company.said
    assert "fetch" not in said(events, "step-started", "step")
    assert lock_of(company)["Serilog"] == locked
    # Without the lock it is.
    (company.project / "packages.lock.json").unlink()
    assert company.cloche("resolve")[-1]["outcome"] == "ok", company.said
    assert lock_of(company)["Serilog"]["resolved"] == "4.5.0"


def test_a_lock_that_names_other_content_is_refused_with_what_to_do(
    company: Company, feed: Feed
) -> None:
    company.write({"app.csproj": application(CONSOLE, properties=LOCKED)})
    assert company.cloche("resolve")[-1]["outcome"] == "ok", company.said
    lock = company.project / "packages.lock.json"
    text = lock.read_text()
    honest = lock_of(company)["Serilog"]["contentHash"]
    lock.write_text(text.replace(honest, lock_of(company)["Serilog.Sinks.Console"]["contentHash"]))
    kept = company.kept()
    events = company.cloche("resolve")
    assert events[-1]["code"] == "step-failed", company.said
    assert "NU1403 Package content hash validation failed for Serilog.4.4.0" in found(events)
    assert "remove packages.lock.json and resolve again" in found(events)
    # It was asked for once more from the feed itself: what is in the cache might have been the lie.
    assert SERILOG in feed.paths()[-3:]
    assert company.kept() == kept
    lock.write_text(text)
    assert company.cloche("resolve")[-1]["outcome"] == "ok", company.said


def test_a_lock_that_the_project_has_outgrown_is_refused_before_anything_is_downloaded(
    company: Company, feed: Feed
) -> None:
    company.write({"app.csproj": application(CONSOLE, properties=LOCKED)})
    assert company.cloche("resolve")[-1]["outcome"] == "ok", company.said
    before = (company.project / "packages.lock.json").read_bytes()
    company.write({"app.csproj": application(CONSOLE, "Newtonsoft.Json 13.0.4", properties=LOCKED)})
    feed.asked.clear()
    events = company.cloche("resolve")
    assert events[-1]["code"] == "step-failed", company.said
    assert "NU1004" in found(events)
    assert "dotnet restore --force-evaluate" in found(events)
    assert not [path for path in feed.paths() if path.endswith(".nupkg")]
    assert (company.project / "packages.lock.json").read_bytes() == before


def test_a_solution_with_central_versions_and_a_lock_for_each_project_resolves_and_builds(
    company: Company,
) -> None:
    (company.project / "app.cs").unlink()
    library = f'<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>{FRAMEWORK}{{}}</PropertyGroup><ItemGroup>{{}}</ItemGroup></Project>'
    company.write(
        {
            "all.slnx": '<Solution><Project Path="src/app/app.csproj" /><Project Path="src/core/core.csproj" />'
            "</Solution>",
            "Directory.Packages.props": "<Project><PropertyGroup><ManagePackageVersionsCentrally>true"
            "</ManagePackageVersionsCentrally><CentralPackageTransitivePinningEnabled>true"
            "</CentralPackageTransitivePinningEnabled></PropertyGroup><ItemGroup>"
            '<PackageVersion Include="Serilog.Sinks.Console" Version="6.1.1" />'
            '<PackageVersion Include="Serilog" Version="[4.3,5.0)" /></ItemGroup></Project>',
            "Directory.Build.props": f"<Project><PropertyGroup>{LOCKED}</PropertyGroup></Project>",
            "src/app/app.csproj": application(
                "Serilog.Sinks.Console",
                more='<ItemGroup><ProjectReference Include="..\\core\\core.csproj" /></ItemGroup>',
            ),
            "src/app/app.cs": "Core.Logs.Log();",
            "src/core/core.csproj": library.format("", '<PackageReference Include="Serilog" />'),
            "src/core/core.cs": 'namespace Core; public static class Logs { public static void Log() => Serilog.Log.Information("hi"); }',
        }
    )
    events = company.cloche("resolve")
    assert events[-1]["outcome"] == "ok", company.said
    of_app, of_core = lock_of(company, "src/app"), lock_of(company, "src/core")
    assert of_app["core"]["type"] == "Project"
    assert of_app["Serilog"]["type"] == "CentralTransitive"
    assert of_app["Serilog"]["contentHash"] == of_core["Serilog"]["contentHash"]
    assert of_core["Serilog"]["resolved"] == "4.4.0"
    events = company.cloche("build")
    assert events[-1]["outcome"] == "ok", company.said


def test_global_json_is_followed_and_may_not_bring_an_sdk(company: Company, feed: Feed) -> None:
    company.write({"app.csproj": application("Serilog 4.4.0")})
    company.write(
        {"global.json": '{"sdk": {"version": "10.0.100", "rollForward": "latestFeature"}}'}
    )
    assert company.cloche("resolve")[-1]["outcome"] == "ok", company.said
    assert company.cloche("build")[-1]["outcome"] == "ok", company.said
    feed.asked.clear()
    for text, code in (
        ('{"sdk": {"version": "9.0.100"}}', "other-sdk-wanted"),
        ('{"sdk": {"paths": ["evil", "$host$"], "version": "10.0.100"}}', "cannot-plan"),
        ('{"msbuild-sdks": {"Evil": "1.0.0"}}', "cannot-plan"),
    ):
        company.write({"global.json": text, "evil/dotnet": "#!/bin/sh\ntouch /project/marker\n"})
        assert company.cloche("resolve")[-1]["code"] == code, company.said
    assert not (company.project / "marker").exists()
    assert not [path for path in feed.paths() if path.endswith(".nupkg")]
