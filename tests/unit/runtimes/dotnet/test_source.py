"""Project files read as data: what is literal is taken, what must be evaluated is refused with the reason."""

import pytest
from tests.unit.runtimes.dotnet.conftest import Files

from cloche.errors import ClocheError
from cloche.kernel.invariants import check_plan
from cloche.model.step import Net, Source, Trust
from cloche.runtimes.dotnet.provider import DotNetProvider
from cloche.runtimes.dotnet.sdk import OtherSdkWanted
from cloche.runtimes.dotnet.source import read_source
from cloche.runtimes.provider import CannotPlan, HostFacts, LintRefused

SDK = "10.0.401"


def project(body: str, sdk: str = "Microsoft.NET.Sdk") -> str:
    framework = "<PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup>"
    return f'<Project Sdk="{sdk}">{framework}{body}</Project>'


def package(version: str = "13.0.4", name: str = "Newtonsoft.Json", more: str = "") -> str:
    return f'<ItemGroup><PackageReference Include="{name}" Version="{version}" {more}/></ItemGroup>'


def fetched(files: dict[str, str], facts: HostFacts) -> dict[str, str]:
    """Give what the fetch of a project sees."""
    plan = DotNetProvider().resolve_dependencies(Files(files), facts)
    check_plan(plan)
    return {
        name: content.decode()
        for projection in plan.projections
        for name, content in projection.files.items()
    }


@pytest.mark.parametrize(
    "content",
    [
        project(package(name="x.$(SECRET)")),
        project(package(name="x.$([System.IO.File]::ReadAllText('/etc/passwd'))")),
        project(package(version="@(Versions)")),
        project(package(version="13.*")),
        project(package(more="Condition=\"Exists('/etc/passwd')\"")),
        project(package(more="Condition=\"$([System.String]::IsNullOrEmpty('$(X)'))\"")),
        project("<Choose><When Condition=\"'1'=='1'\">" + package() + "</When></Choose>"),
        project("", sdk="Evil.Sdk/1.0"),
        project("", sdk="MSBuild.Sdk.Extras"),
        project('<Sdk Name="Evil" Version="1.0"/>'),
        project("<PropertyGroup><OutputType>$(Kind)</OutputType></PropertyGroup>"),
        project('<ItemGroup><ProjectReference Include="../other/other.csproj"/></ItemGroup>'),
        project('<ItemGroup><ProjectReference Include="**/*.csproj"/></ItemGroup>'),
        '<!DOCTYPE p [<!ENTITY a "b">]><Project Sdk="Microsoft.NET.Sdk">&a;</Project>',
        "<Project ToolsVersion='15.0'/>",
        "<Project Sdk='Microsoft.NET.Sdk'/>",
        "<Project",
        "<a>" * 100,
    ],
)
def test_what_must_be_evaluated_is_refused(content: str) -> None:
    with pytest.raises(CannotPlan):
        read_source(Files({"app.csproj": content}), SDK)


def test_properties_that_are_literal_themselves_are_put_in(facts: HostFacts) -> None:
    files = {
        "app.csproj": project(package("$(Json)")),
        "Directory.Build.props": "<Project><PropertyGroup><Json>13.0.4</Json></PropertyGroup></Project>",
    }
    assert 'Version="13.0.4"' in fetched(files, facts)["tree/app.csproj"]


def test_conditions_over_what_a_project_is_are_decided_by_its_last_word(facts: HostFacts) -> None:
    shared = "<Project><ItemGroup Condition=\"'$(IsTestProject)' == 'true'\"><PackageReference Include='xunit' Version='2.9.3'/></ItemGroup></Project>"
    told = "<PropertyGroup><IsTestProject>true</IsTestProject></PropertyGroup>"
    for body, is_there in ((told, True), ("", False)):
        files = {"app.csproj": project(package() + body), "Directory.Build.props": shared}
        assert ("xunit" in fetched(files, facts)["tree/app.csproj"]) is is_there


def test_a_solution_is_replicated_with_its_paths_and_central_versions(facts: HostFacts) -> None:
    reference = '<ItemGroup><PackageReference Include="Serilog"/></ItemGroup>'
    files = {
        "all.sln": '\ufeffProject("{9A19103F-16F7-4668-BE54-9A1E7A4F7556}") = "a", "src\\a\\a.csproj", "{0}"\r\nEndProject',
        "src/a/a.csproj": project(
            reference + '<ItemGroup><ProjectReference Include="..\\b\\b.csproj"/></ItemGroup>'
        ),
        "src/b/b.csproj": project(""),
        "Directory.Packages.props": "<Project><PropertyGroup><ManagePackageVersionsCentrally>true</ManagePackageVersionsCentrally></PropertyGroup>"
        "<ItemGroup><PackageVersion Include='Serilog' Version='4.4.0'/></ItemGroup></Project>",
    }
    seen = fetched(files, facts)
    assert {"tree/src/a/a.csproj", "tree/src/b/b.csproj", "tree/all.slnx"} <= set(seen)
    assert '<PackageVersion Include="Serilog" Version="4.4.0" />' in seen["tree/src/a/a.csproj"]
    assert '<PackageReference Include="Serilog" />' in seen["tree/src/a/a.csproj"]


def test_nothing_that_acts_reaches_the_fetch(facts: HostFacts) -> None:
    body = (
        package()
        + '<Target Name="Evil" BeforeTargets="Restore"><Exec Command="touch /evil"/></Target>'
        + '<UsingTask TaskName="Evil" AssemblyFile="evil.dll"/><Import Project="evil.targets"/>'
        + "<PropertyGroup><RestoreSources>https://evil.example.org</RestoreSources><Evil>1</Evil></PropertyGroup>"
    )
    seen = "".join(fetched({"app.csproj": project(body)}, facts).values())
    assert "vil" not in seen.replace("</PrivateAssets>", "")


def test_only_the_fetch_reaches_registries_and_it_sees_nothing_of_the_project(
    facts: HostFacts,
) -> None:
    plan = DotNetProvider().resolve_dependencies(Files({"app.csproj": project(package())}), facts)
    fetch, restore = plan.steps
    assert (fetch.trust, fetch.net) == (Trust.TOOL, Net.REGISTRY)
    assert {mount.source for mount in fetch.mounts} == {
        Source.PROJECTION,
        Source.CACHE,
        Source.USER_CONFIG,
    }
    assert (restore.trust, restore.net) == (Trust.PROJECT, Net.NONE)


@pytest.mark.parametrize("text", ['{"sdk": {"paths": ["evil"]}}', '{"SDK":1, "sdk": []}', "{",
                                  '// c\n{"sdk": {"Paths": []}}', '{"msbuild-sdks": {"X": "1.0"}}'])  # fmt: skip
def test_a_project_may_not_choose_its_own_sdk(text: str) -> None:
    with pytest.raises(CannotPlan):
        read_source(Files({"app.csproj": project(""), "global.json": text}), SDK)


@pytest.mark.parametrize(
    ("version", "rule", "fits"),
    [
        ("10.0.302", "patch", False), ("10.0.302", "latestPatch", False), ("10.0.302", "disable", False),
        ("10.0.302", "feature", True), ("10.0.302", "minor", True), ("10.0.302", "latestMajor", True),
        ("10.0.400", "", True), ("10.0.402", "", False), ("9.0.100", "", False), ("9.0.100", "major", True),
        ("11.0.100", "latestMajor", False), ("10.0.401", "disable", True),
    ],
)  # fmt: skip
def test_the_sdk_that_is_found_is_judged_as_the_host_judges_it(
    version: str, rule: str, *, fits: bool
) -> None:
    roll = f', "rollForward": "{rule}"' if rule else ""
    text = f'{{"sdk": {{"version": "{version}"{roll}}}}} // why'
    files = Files({"app.csproj": project(""), "global.json": text})
    if fits:
        read_source(files, SDK)
        return
    with pytest.raises(OtherSdkWanted):
        read_source(files, SDK)


def test_a_lock_without_digests_is_refused_and_one_with_them_is_written_anew(
    facts: HostFacts,
) -> None:
    digest = "A" * 86 + "=="
    entry = '{"type": "Direct", "requested": "[13.0.4, )", "resolved": "13.0.4", "contentHash": "%s", "evil": 1}'
    lock = '{"version": 1, "dependencies": {"net10.0": {"Newtonsoft.Json": %s}}}'
    files = {"app.csproj": project(package("13.*")), "packages.lock.json": lock % (entry % digest)}
    written = fetched(files, facts)["tree/packages.lock.json"]
    assert digest in written
    assert "evil" not in written
    with pytest.raises(LintRefused):
        read_source(Files({**files, "packages.lock.json": lock % (entry % "short")}), SDK)


def test_no_other_bytes_than_projects_make_anything_but_our_errors() -> None:
    for content in (b"\x00", b"\xff\xfe<", b"<?xml version='1.0' encoding='no-such'?><a/>", b""):
        with pytest.raises(ClocheError):
            read_source(Files({"app.csproj": content}), SDK)
