"""Every way in which a project's files make `dotnet` execute something, fetched with exactly what we plan.

The steps run here without a jar, so that nothing but the plan itself keeps the project's code from
running; the controls show that `dotnet restore` in the project would have run it.
"""

import io
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.conformance.dotnet_sdk import Sdk

from cloche.errors import ClocheError
from cloche.kernel.invariants import check_plan
from cloche.kernel.view import DirectoryView
from cloche.model.step import Plan, Step, Trust
from cloche.runtimes.dotnet.provider import DotNetProvider
from cloche.runtimes.provider import Answer, HostFacts

pytestmark = pytest.mark.slow

HEAD = "<PropertyGroup><OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework></PropertyGroup>"
NEEDS = '<ItemGroup><PackageReference Include="Serilog" Version="4.4.0" /></ItemGroup>'
APP = f'<Project Sdk="Microsoft.NET.Sdk">{HEAD}{NEEDS}</Project>'
# MARKER becomes the path of the file that shows that something ran.
EVIL = '<Target Name="Evil" {when}><Exec Command="touch MARKER" /></Target>'
BEFORE = EVIL.format(when='BeforeTargets="Restore;CollectPackageReferences;_GenerateRestoreGraph"')
FILE = f"<Project>{BEFORE}</Project>"
SOLUTION = '<Solution><Project Path="src/app.csproj" /></Solution>'
INLINE = (
    '<UsingTask TaskName="T" TaskFactory="RoslynCodeTaskFactory" '
    'AssemblyFile="$(MSBuildToolsPath)/Microsoft.Build.Tasks.Core.dll"><Task><Code Type="Fragment">'
    'System.IO.File.WriteAllText("MARKER", "");</Code></Task></UsingTask>'
    '<Target Name="Evil" BeforeTargets="CollectPackageReferences"><T /></Target>'
)
IN_SDK = '<Project Sdk="Microsoft.NET.Sdk" InitialTargets="Evil">'

EXECUTED: dict[str, dict[str, str]] = {
    "a target of the project": {"app.csproj": APP.replace("</Project>", BEFORE + "</Project>")},
    "an initial target": {"app.csproj": IN_SDK + HEAD + NEEDS + EVIL.format(when="") + "</Project>"},
    "an inline task": {"app.csproj": APP.replace("</Project>", INLINE + "</Project>")},
    "Directory.Build.props of a parent": {
        "a.slnx": SOLUTION, "src/app.csproj": APP, "Directory.Build.props": FILE,
    },
    "Directory.Build.targets": {"app.csproj": APP, "Directory.Build.targets": FILE},
    "Directory.Packages.props": {"app.csproj": APP, "Directory.Packages.props": FILE},
    "a user file": {"app.csproj": APP, "app.csproj.user": FILE},
    "a response file": {
        "app.csproj": APP, "Directory.Build.rsp": "-p:CustomBeforeMicrosoftCommonProps=ROOT/evil.targets",
        "evil.targets": FILE,
    },
    "MSBuild.rsp": {
        "app.csproj": APP, "MSBuild.rsp": "-p:CustomBeforeMicrosoftCommonProps=ROOT/evil.targets",
        "evil.targets": FILE,
    },
    "Directory.Solution.targets": {
        "a.slnx": SOLUTION, "src/app.csproj": APP,
        "Directory.Solution.targets": "<Project InitialTargets='Evil'>" + EVIL.format(when="") + "</Project>",
    },
}  # fmt: skip
# Not by a restore, or not by one alone; in a fetch they have no place either.
QUIET: dict[str, dict[str, str]] = {
    "planted objects": {"app.csproj": APP, "obj/app.csproj.nuget.g.targets": FILE,
                        "obj/app.csproj.evil.props": FILE},
    "a file before the solution": {"a.slnx": SOLUTION, "src/app.csproj": APP, "before.a.slnx.targets": FILE},
    "tools of the project": {"app.csproj": APP, ".config/dotnet-tools.json": '{"version": 1, "isRoot": true, "tools": {}}'},
    "a package with targets": {"app.csproj": APP.replace("Serilog", "Evil.Build").replace("4.4.0", "1.0.0")},
    "a fallback folder": {
        "app.csproj": APP, "nuget.config": "<configuration><fallbackPackageFolders><add key='x' value='planted' />"
        "</fallbackPackageFolders></configuration>",
    },
}  # fmt: skip
REFUSED: dict[str, dict[str, str]] = {
    "an SDK that is downloaded": {"app.csproj": APP.replace("NET.Sdk", "NET.Sdk/1.0")},
    "msbuild-sdks": {"app.csproj": APP, "global.json": '{"msbuild-sdks": {"Evil": "1.0"}}'},
    "sdk.paths": {"app.csproj": APP, "global.json": '{"sdk": {"paths": ["evil"]}}'},
    "a name made of a secret": {"app.csproj": APP.replace("Serilog", "x.$(SECRET)")},
    "a source made of a file": {
        "app.csproj": APP.replace("4.4.0", "$([System.IO.File]::ReadAllText('/etc/hostname'))")
    },
}


@pytest.fixture(scope="module")
def feed(sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("feed")
    for package in sdk.feed.glob("serilog.4*.nupkg"):
        (place / package.name).symlink_to(package)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "Evil.Build.nuspec",
            "<package><metadata><id>Evil.Build</id><version>1.0.0</version><authors>e</authors>"
            "<description>e</description></metadata></package>",
        )
        for ending in ("props", "targets"):
            archive.writestr(
                f"build/Evil.Build.{ending}", "<Project><Evil"
            )  # no XML: to load it would fail
    (place / "evil.build.1.0.0.nupkg").write_bytes(out.getvalue())
    return place


def write(root: Path, files: Mapping[str, str]) -> Path:
    project = root / "project"
    for name, content in files.items():
        target = project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content.replace("MARKER", f"{root}/marker").replace("ROOT", str(project)))
    return project


def run_tool_step(step: Step, plan: Plan, root: Path, sdk: Sdk, feed: Path) -> bytes:
    """Run a TOOL step over its projection in a plain directory; give what it printed."""
    place = root / f"p-{step.id}"
    place.mkdir()

    def moved(text: str) -> str:
        return (
            text.replace("/p/", f"{place}/")
            .replace("/cache/nuget", f"{root}/cache")
            .replace("@dotnet", sdk.tool.host_root)
        )

    for projection in plan.projections:
        for name, content in projection.files.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(moved(content.decode()))
    home = root / "home"
    sdk_of_user = Sdk(tool=sdk.tool, feed=feed).environment(home)
    environment = {"PATH": "/usr/bin:/bin", **sdk_of_user, "SECRET": "open-sesame"}
    environment |= {k: moved(v) for k, v in step.env.items() if not v.startswith("@heap")}
    done = subprocess.run(
        [moved(word) for word in step.argv],
        cwd=place, env=environment, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout


def fetch(project: Path, root: Path, sdk: Sdk, feed: Path) -> None:
    """Follow discovery and `resolve` through every TOOL step."""
    provider, facts = DotNetProvider(), HostFacts(toolchains={"dotnet": sdk.tool})
    while (question := provider.discovery(facts)) is not None:
        output = run_tool_step(question.steps[0], question, root, sdk, feed)
        known = provider.read_discovery(Answer(output=output), facts)
        facts = HostFacts(toolchains=facts.toolchains, registry=known)
    plan = provider.resolve_dependencies(DirectoryView(project), facts)
    check_plan(plan)
    for step in plan.steps:
        if step.trust is Trust.TOOL:
            run_tool_step(step, plan, root, sdk, feed)


@pytest.mark.parametrize("name", sorted(EXECUTED | QUIET))
def test_it_is_fetched_and_nothing_of_it_runs(
    name: str, sdk: Sdk, feed: Path, tmp_path: Path
) -> None:
    project = write(tmp_path, (EXECUTED | QUIET)[name])
    fetch(project, tmp_path, sdk, feed)
    assert not (tmp_path / "marker").exists()
    kept = list((tmp_path / "cache").rglob("*.nupkg"))
    assert len(kept) == 1
    digest_is_right = DotNetProvider().cached(
        "nuget", str(kept[0].relative_to(tmp_path / "cache")), {}
    )
    assert digest_is_right is not None


@pytest.mark.parametrize("name", sorted(EXECUTED))
def test_control_a_plain_restore_runs_it(name: str, sdk: Sdk, feed: Path, tmp_path: Path) -> None:
    project = write(tmp_path, EXECUTED[name])
    environment = {**os.environ, **Sdk(tool=sdk.tool, feed=feed).environment(tmp_path / "home")}
    argv = [f"{sdk.tool.host_root}/dotnet", "restore", "-nodeReuse:false"]
    subprocess.run(
        argv, cwd=project, env=environment, capture_output=True, timeout=120, check=False
    )
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_it_is_refused_before_anything_is_planned(name: str, sdk: Sdk, tmp_path: Path) -> None:
    project = write(tmp_path, REFUSED[name])
    with pytest.raises(ClocheError) as refusal:
        DotNetProvider().resolve_dependencies(
            DirectoryView(project), HostFacts(toolchains={"dotnet": sdk.tool})
        )
    assert refusal.value.code == "cannot-plan"
