"""Conditions and imports of the usual layouts of public libraries, read as data."""

import pytest
from tests.unit.runtimes.dotnet.conftest import Files

from cloche.runtimes.dotnet.conditions import decide
from cloche.runtimes.dotnet.literals import Scope, Unknown
from cloche.runtimes.dotnet.sdk import OtherSdkWanted, check_sdk
from cloche.runtimes.dotnet.source import read_source
from cloche.runtimes.provider import CannotPlan

TESTS = '<Project Sdk="Microsoft.NET.Sdk"/>'
NEEDS = "<ItemGroup{}><PackageReference Include='xunit' Version='2.9.3'/></ItemGroup>"
FRAMEWORK = "<PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup>"
ABOVE = [
    "$([MSBuild]::GetPathOfFileAbove('Directory.Build.props', '$(MSBuildThisFileDirectory)../'))",
    r"$([MSBuild]::GetDirectoryNameOfFileAbove($(MSBuildThisFileDirectory)..\, Directory.Build.props))\Directory.Build.props",
    r"..\Directory.Build.props",
    "$(MSBuildThisFileDirectory)../Directory.Build.props",
]


def scope() -> Scope:
    found = Scope({"MSBuildProjectName": "Measures.Tests", "Configuration": "Release"})
    found.lose("Lost")
    return found


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("", ""),
        ("$(MSBuildProjectName.EndsWith('Tests'))", ""),
        ("!$(MSBuildProjectName.EndsWith('Tests'))", None),
        ("'$(MSBuildProjectName.Contains(\".\"))' == 'true'", Unknown),
        ("'$(MSBuildProjectName.Contains('.'))' == 'true' and '$(Nothing)' == ''", ""),
        ("'$(Configuration)' == 'Debug' Or '$(CONFIGURATION)'=='release'", ""),
        ("'$(Configuration)' == 'Debug' and '$(Lost)' == 'x'", None),
        ("'$(Configuration)' == 'Release' or Exists('x')", Unknown),
        ("('$(Lost)' == 'x') or true", ""),
        ("'$(Lost)' == 'x'", Unknown),
        ("'$(TargetFramework)'=='net8.0'", "'$(TargetFramework)' == 'net8.0'"),
        (
            "'$(TargetFramework)' == 'net48' OR $(TargetFramework.StartsWith('netstandard'))",
            "('$(TargetFramework)' == 'net48' or '$(TargetFramework.StartsWith('netstandard'))' == 'true')",
        ),
        (
            "!$([MSBuild]::IsTargetFrameworkCompatible('$(TargetFramework)', 'net8.0'))",
            "!('$([MSBuild]::IsTargetFrameworkCompatible('$(TargetFramework)', 'net8.0'))' == 'true')",
        ),
        ("'$(TargetFramework)' == '$(Configuration)'", "'$(TargetFramework)' == 'Release'"),
        ("'$(TargetFramework)' == '$([System.IO.File]::ReadAllText('/x'))'", Unknown),
        ("'$(TargetFrameworkIdentifier)' == '.NETFramework'", Unknown),
        ("'$(TargetFramework)' == 'a' == 'b'", Unknown),
        ("(" * 40 + "true" + ")" * 40, Unknown),
        ("'$(" * 600, Unknown),
        ("'" + "$(a)" * 200, Unknown),
        ("'" + "$(a('b'))" * 80 + "$(", Unknown),
        ("'$(targetFRAMEWORK)' == 'net8.0'", "'$(targetFRAMEWORK)' == 'net8.0'"),
        ("'$(targetframeworkidentifier)' == ''", Unknown),
        ("and", Unknown),
        ("true or", Unknown),
    ],
)
def test_a_condition_is_decided_or_left_to_the_framework(
    condition: str, left: str | type[Unknown] | None
) -> None:
    if left is Unknown:
        with pytest.raises(Unknown):
            decide([condition], scope())
    else:
        assert decide([condition], scope()) == left


@pytest.mark.parametrize("above", ABOVE)
def test_what_a_file_imports_from_above_counts(above: str) -> None:
    files = {
        "all.slnx": '<Solution><Project Path="tests/a/a.Tests.csproj"/></Solution>',
        "Directory.Build.props": f"<Project>{FRAMEWORK}</Project>",
        "tests/Directory.Build.props": f'<Project><Import Project="{above}"/>{NEEDS.format("")}</Project>',
        "tests/a/a.Tests.csproj": TESTS,
    }
    (project,) = read_source(Files(files), "10.0.401").projects
    assert project.frameworks == ("net10.0",)
    assert project.uses("xunit")


@pytest.mark.parametrize(
    "imported",
    ["../../../etc/x.props", "..", ".", "../", "$(HOME)/x.props", "/etc/x.props", "app.csproj", "Directory.Build.props"],
)  # fmt: skip
def test_an_import_that_leads_elsewhere_or_to_itself_is_only_told(imported: str) -> None:
    files = {
        "app.csproj": f'<Project Sdk="Microsoft.NET.Sdk">{FRAMEWORK}</Project>',
        "Directory.Build.props": f'<Project><Import Project="{imported}"/></Project>',
    }
    if imported == "app.csproj":  # a file like any other, read once
        files["app.csproj"] = files["app.csproj"].replace(
            "</Project>", NEEDS.format("") + "</Project>"
        )
    source = read_source(Files(files), "10.0.401")
    assert any("imports" in note for note in source.notes) == (imported != "app.csproj")


def test_a_value_that_something_unknown_sets_is_used_for_nothing() -> None:
    told = "<PropertyGroup><V>1.0.0</V><V Condition=\"Exists('x')\">2.0.0</V></PropertyGroup>"
    uses = '<ItemGroup><PackageReference Include="a" Version="$(V)"/></ItemGroup>'
    app = f'<Project Sdk="Microsoft.NET.Sdk">{FRAMEWORK}{told}{{}}</Project>'
    assert read_source(Files({"app.csproj": app.format("")}), "10.0.401").projects
    with pytest.raises(CannotPlan, match=r"\$\(V\) is not known"):
        read_source(Files({"app.csproj": app.format(uses)}), "10.0.401")


def test_frameworks_may_be_added_to_themselves() -> None:
    app = (
        '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>'
        "<TargetFrameworks Condition=\"'$(OS)' == 'Windows_NT'\">net48</TargetFrameworks>"
        "<TargetFrameworks>$(TargetFrameworks);net10.0;net8.0</TargetFrameworks>"
        "</PropertyGroup></Project>"
    )
    (project,) = read_source(Files({"app.csproj": app}), "10.0.401").projects
    assert project.frameworks == ("net10.0", "net8.0")


@pytest.mark.parametrize(
    ("wanted", "rule", "fits"),
    [
        ("10.0.0", "latestFeature", True),
        ("10.0.0", "patch", False),
        ("10.0.12", "latestPatch", False),
        ("10.0.412", "patch", False),
        ("9.0.0", "latestMajor", True),
    ],
)
def test_a_short_version_is_one_of_the_first_band(wanted: str, rule: str, *, fits: bool) -> None:
    files = Files({"global.json": f'{{"sdk": {{"version": "{wanted}", "rollForward": "{rule}"}}}}'})
    if fits:
        check_sdk(files, "10.0.401")
        return
    with pytest.raises(OtherSdkWanted):
        check_sdk(files, "10.0.401")


@pytest.mark.parametrize("step", ["<A>$(A)$(A)</A>", "<A>$(A)$(B)</A><B>$(B)$(A)</B>"])
def test_a_value_that_doubles_itself_fills_no_memory(step: str) -> None:
    grown = f"<PropertyGroup><A>xxxxxxxx</A><B>y</B>{step * 2000}</PropertyGroup>"
    app = f'<Project Sdk="Microsoft.NET.Sdk">{FRAMEWORK}{grown}{{}}</Project>'
    assert read_source(Files({"app.csproj": app.format("")}), "10.0.401").projects
    uses = '<ItemGroup><PackageReference Include="a" Version="$(A)"/></ItemGroup>'
    with pytest.raises(CannotPlan):
        read_source(Files({"app.csproj": app.format(uses)}), "10.0.401")


def test_a_framework_of_several_is_no_value() -> None:
    app = (
        '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net8.0</TargetFramework>'
        "<TargetFrameworks>net8.0;net10.0</TargetFrameworks></PropertyGroup><ItemGroup>"
        '<PackageReference Include="a" Version="$(TargetFramework)"/></ItemGroup></Project>'
    )
    with pytest.raises(CannotPlan, match="is not known"):
        read_source(Files({"app.csproj": app}), "10.0.401")


def test_a_value_is_what_it_was_when_it_was_set() -> None:
    told = "<PropertyGroup><V>1.0.0</V><W>$(V)</W><V>2.0.0</V></PropertyGroup>"
    item = '<ItemGroup><PackageReference Include="a" Version="$(W)"/></ItemGroup>'
    app = f'<Project Sdk="Microsoft.NET.Sdk">{FRAMEWORK}{told}{item}</Project>'
    (project,) = read_source(Files({"app.csproj": app}), "10.0.401").projects
    assert [item.get("Version") for item in project.items] == ["1.0.0"]
