"""What goes wrong with a .NET project is told with file, line and code, or with the test's name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.command import Ended
from tests.conformance.person import Person
from tests.conformance.test_dotnet_projects_ship import LIBRARY

from cloche.kernel.errors import NoToolchain
from cloche.runtimes.dotnet.sdk import OtherSdkWanted

pytestmark = pytest.mark.slow

WRONG = """namespace Measures;

public static class Wrong
{
    public static int Of(string text) => text;
}
"""
DOUBTFUL = """namespace Measures;

internal static class Doubtful
{
    private static int unused;
    internal static void Do() { int idle; }
}
"""
APP = (
    '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType>'
    "<TargetFramework>net10.0</TargetFramework></PropertyGroup></Project>"
)


@pytest.fixture
def library(person: Person, tmp_path: Path) -> Path:
    project = person.place / tmp_path.name
    shutil.copytree(LIBRARY, project)
    return person.own(project)


def resolved(person: Person, project: Path) -> Path:
    ended = person.cloche("resolve", str(project))
    assert ended.status == 0, ended.events[-1]
    return project


def found(ended: Ended, severity: str) -> list[dict[str, Any]]:
    told = [event["diagnostic"] for event in ended.of("found")]
    return [diagnostic for diagnostic in told if diagnostic["severity"] == severity]


def test_a_compile_error_has_file_line_and_code_and_is_told_once(
    person: Person, library: Path
) -> None:
    (library / "src/Measures/Wrong.cs").write_text(WRONG)
    ended = person.cloche("build", str(resolved(person, library)))
    assert ended.events[-1]["code"] == "step-failed"
    errors = [error for error in found(ended, "error") if error["code"] == "CS0029"]
    (error,) = errors
    assert (error["file"], error["line"]) == ("src/Measures/Wrong.cs", 5)
    assert error["tool"] == "csc"
    assert "string" in error["message"]


def test_warnings_are_told_one_by_one_and_stop_nothing(person: Person, library: Path) -> None:
    properties = library / "Directory.Build.props"
    properties.write_text(properties.read_text().replace("Errors>true", "Errors>false"))
    (library / "src/Measures/Doubtful.cs").write_text(DOUBTFUL)
    ended = person.cloche("build", str(resolved(person, library)))
    assert ended.status == 0, ended.events[-1]
    assert found(ended, "error") == []
    warnings = [(w["code"], w["file"], w["line"]) for w in found(ended, "warning")]
    assert sorted(warnings) == [
        ("CS0168", "src/Measures/Doubtful.cs", 6),
        ("CS0169", "src/Measures/Doubtful.cs", 5),
    ]


def test_a_test_that_fails_is_named_with_its_place_and_its_words(
    person: Person, library: Path
) -> None:
    tests = library / "tests/Measures.Tests/LengthTests.cs"
    tests.write_text(tests.read_text().replace("Assert.Equal(1 +", "Assert.Equal(2 +"))
    ended = person.cloche("test", str(resolved(person, library)))
    assert ended.events[-1]["code"] == "step-failed"
    (failure,) = found(ended, "error")
    assert failure["code"] == "TEST_FAILED"
    assert failure["message"].startswith("Measures.Tests.LengthTests.LengthsAddUp: ")
    assert "Assert.Equal" in failure["message"]
    # Nothing of the stack, and of the summary, which is another each time.
    assert "   at " not in failure["message"]
    assert "Total" not in failure["message"]
    assert (failure["file"], failure["line"]) == ("tests/Measures.Tests/LengthTests.cs", 12)
    assert not (library / "TestResults").exists()


def test_a_package_that_no_source_has_is_named(person: Person) -> None:
    project = person.place / "absent"
    project.mkdir()
    item = '<ItemGroup><PackageReference Include="Nobody.Has.This" Version="1.0.0"/></ItemGroup>'
    (project / "absent.csproj").write_text(APP.replace("</Project>", item + "</Project>"))
    ended = person.cloche("resolve", str(person.own(project)))
    assert ended.events[-1]["code"] == "step-failed"
    (error,) = found(ended, "error")
    assert error["code"] == "NU1101"
    assert "Nobody.Has.This" in error["message"]


def without_an_sdk(person: Person) -> Person:
    environment = {**person.environment, "PATH": "/usr/bin:/bin"}
    del environment["DOTNET_ROOT"]
    return replace(person, environment=environment)


def events_of(person: Person, verb: str, project: Path) -> tuple[int, list[dict[str, Any]]]:
    with person.start(verb, str(project)) as process:
        assert process.stdout is not None
        events = [json.loads(line) for line in process.stdout]
        return process.wait(60), events


def test_a_machine_without_an_sdk_says_what_to_do(person: Person) -> None:
    if shutil.which("dotnet", path="/usr/bin:/bin"):
        pytest.skip("this machine has a dotnet of its own in /usr/bin")
    project = person.place / "sdkless"
    project.mkdir()
    (project / "sdkless.csproj").write_text(APP)
    status, events = events_of(without_an_sdk(person), "build", person.own(project))
    assert status == NoToolchain.exit_status
    assert events[-1]["code"] == NoToolchain.code
    assert "DOTNET_ROOT" in events[-1]["remedy"]


def test_an_sdk_that_the_project_does_not_accept_says_which_it_wants(person: Person) -> None:
    project = person.place / "older-sdk"
    project.mkdir()
    (project / "app.csproj").write_text(APP)
    (project / "global.json").write_text('{"sdk": {"version": "9.0.100"}}')
    ended = person.cloche("build", str(person.own(project)))
    assert ended.status == OtherSdkWanted.exit_status
    assert "9.0.100" in ended.events[-1]["message"]
    assert "DOTNET_ROOT" in ended.events[-1]["remedy"]
