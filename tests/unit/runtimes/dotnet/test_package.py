"""What of a solution is published, packed, or neither; and how what serves is started from the package."""

import pytest
from tests.unit.runtimes.dotnet.conftest import Files

from cloche.kernel.invariants import check_plan
from cloche.model.step import Plan
from cloche.runtimes.dotnet.provider import DotNetProvider
from cloche.runtimes.provider import HostFacts


def project(properties: str, sdk: str = "") -> str:
    framework = "<TargetFramework>net10.0</TargetFramework>"
    return f'<Project Sdk="Microsoft.NET.Sdk{sdk}"><PropertyGroup>{framework}{properties}</PropertyGroup></Project>'


def packaged(facts: HostFacts, **projects: str) -> Plan:
    listed = "".join(f'<Project Path="{name}/{name}.csproj"/>' for name in projects)
    files = {f"{name}/{name}.csproj": content for name, content in projects.items()}
    view = Files({"all.slnx": f"<Solution>{listed}</Solution>", **files})
    plan = DotNetProvider().package(view, facts)
    check_plan(plan)
    return plan


EXE = "<OutputType>Exe</OutputType>"
PACKAGE = "<PackageTags>units</PackageTags>"


@pytest.mark.parametrize(
    ("projects", "steps"),
    [
        ({"app": project(EXE), "core": project("")}, ["publish-app"]),
        ({"app": project(EXE), "core": project(PACKAGE)}, ["publish-app", "pack-core"]),
        ({"app": project(EXE), "core": project("<IsPackable>true</IsPackable>")}, ["publish-app", "pack-core"]),
        ({"app": project(EXE), "core": project(f"{PACKAGE}<IsPackable>false</IsPackable>")}, ["publish-app"]),
        ({"app": project(EXE + PACKAGE)}, ["publish-app"]),
        ({"bench": project(f"{EXE}<IsPublishable>false</IsPublishable>"), "core": project("")}, ["pack-libraries"]),
        ({"core": project("")}, ["pack-libraries"]),
        ({"web": project(PACKAGE, ".Web")}, ["publish-web"]),
    ],
)  # fmt: skip
def test_programs_are_published_and_libraries_that_say_so_packed(
    projects: dict[str, str], steps: list[str], facts: HostFacts
) -> None:
    plan = packaged(facts, **projects)
    assert [step.id for step in plan.steps] == steps
    assert plan.artifact is not None
    assert len(plan.artifact.include) == len(steps)


@pytest.mark.parametrize(
    ("properties", "argv"),
    [
        ("", ("@dotnet/dotnet", "/package/artifacts/publish/web/web.dll")),
        ("<RuntimeIdentifier>linux-x64</RuntimeIdentifier><SelfContained>true</SelfContained>", ("/package/artifacts/publish/web/web",)),
        ("<RuntimeIdentifier>linux-x64</RuntimeIdentifier><PublishSingleFile>true</PublishSingleFile>", ("/package/artifacts/publish/web/web",)),
        ("<RuntimeIdentifiers>win-x64;linux-x64</RuntimeIdentifiers>", ("@dotnet/dotnet", "/package/artifacts/publish/web-linux-x64/web.dll")),
        ("<RuntimeIdentifier>win-x64</RuntimeIdentifier>", None),
    ],
)  # fmt: skip
def test_a_web_application_is_started_as_it_was_published(
    properties: str, argv: tuple[str, ...] | None, facts: HostFacts
) -> None:
    plan = packaged(facts, web=project(properties, ".Web"))
    assert plan.artifact is not None
    serve = plan.artifact.serve
    assert (serve.argv if serve else None) == argv


@pytest.mark.parametrize(
    ("properties", "without"),
    [
        ("", False),
        ("<RuntimeIdentifier>win-x64</RuntimeIdentifier>", True),
        ("<RuntimeIdentifiers>win-x64;linux-x64</RuntimeIdentifiers>", True),
        ("<RuntimeIdentifier>win-x64</RuntimeIdentifier><SelfContained>false</SelfContained><PublishSingleFile>true</PublishSingleFile>", True),
        ("<RuntimeIdentifier>win-x64</RuntimeIdentifier><PublishSingleFile>true</PublishSingleFile>", False),
        ("<RuntimeIdentifier>win-x64</RuntimeIdentifier><PublishTrimmed>true</PublishTrimmed>", False),
        ("<RuntimeIdentifier>win-x64</RuntimeIdentifier><PublishReadyToRun>true</PublishReadyToRun>", False),
        ("<RuntimeIdentifier>win-x64</RuntimeIdentifier><TargetFramework>net7.0</TargetFramework>", False),
    ],
)  # fmt: skip
def test_packs_of_runtimes_are_left_out_where_no_program_brings_one(
    properties: str, *, without: bool, facts: HostFacts
) -> None:
    files = Files({"app.csproj": project(EXE + properties)})
    provider = DotNetProvider()
    steps = [
        *provider.resolve_dependencies(files, facts).steps,
        *provider.build(files, facts).steps,
        *provider.package(files, facts).steps,
    ]
    told = {"-p:EnableRuntimePackDownload=false" in s.argv for s in steps if s.id != "fetch"}
    assert told == {without}
