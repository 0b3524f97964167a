"""Each template of .NET ships, and what lies in the package is the program, which runs.

The program is started from the package's own content, in the jar, as whoever received it would.
"""

import shutil
from pathlib import Path

import pytest
from tests.conformance.command import Ended
from tests.conformance.person import Person

from cloche.artifact.read import extract_package

LIBRARY = Path(__file__).parents[1] / "fixtures/projects/dotnet-library"
KIND = "{9A19103F-16F7-4668-BE54-9A1E7A4F7556}"

pytestmark = pytest.mark.slow


def ship(person: Person, template: str, name: str) -> tuple[Ended, Path]:
    """Scaffold and ship; give what was said, and the package's content."""
    project = person.place / name
    assert person.cloche("scaffold", template, str(project)).status == 0
    ended = person.cloche("ship", str(project))
    assert ended.status == 0, ended.events[-1]
    return ended, unpack(person, project, ended)


def unpack(person: Person, project: Path, ended: Ended) -> Path:
    """Lay out what a package holds, for that user."""
    (made,) = ended.of("artifact-made")
    content = person.place / f"{project.name}-content"
    content.mkdir()
    extract_package(project / made["path"], content)
    return person.own(content)


def run(person: Person, content: Path, *argv: str) -> str:
    """Give what a program of the package prints."""
    ended = person.cloche("run", "--project", str(content), "--", *argv)
    assert ended.status == 0, ended.events[-1]
    return "".join(event["data"] for event in ended.of("output"))


def test_a_console_program_ships_and_says_its_line(each_person: Person) -> None:
    _, content = ship(each_person, "dotnet-console", "hello")
    assert run(each_person, content, "dotnet", "artifacts/publish/hello/hello.dll") == (
        "Hello from hello.\n"
    )
    # The apphost finds its runtime by DOTNET_ROOT.
    assert (content / "artifacts/publish/hello/hello").stat().st_mode & 0o111


def test_a_library_is_tested_and_ships_as_a_package_of_nuget(each_person: Person) -> None:
    ended, content = ship(each_person, "dotnet-classlib", "greeting")
    assert {step["step"] for step in ended.of("step-started")} >= {
        "fetch",
        "restore",
        "pack-libraries",
    }
    (package,) = content.rglob("*.nupkg")
    assert package.name == "greeting.1.0.0.nupkg"
    tested = each_person.cloche("test", str(each_person.place / "greeting"))
    assert tested.status == 0, tested.events[-1]
    passed = [event["label"] for event in tested.of("progress") if event["step"] == "test"]
    assert "greeting.Tests.GreeterTests.GreetsByName" in passed


def test_a_web_application_ships_and_its_package_answers(each_person: Person) -> None:
    ended, content = ship(each_person, "dotnet-web", "served")
    (ready,) = ended.of("preview-ready")
    assert ready["step"] == "serve-package"
    assert (content / "artifacts/publish/served/served.dll").is_file()


def test_a_worker_ships_and_works_until_it_is_told_to_stop(each_person: Person) -> None:
    _, content = ship(each_person, "dotnet-worker", "worker")
    argv = ("dotnet", "artifacts/publish/worker/worker.dll")
    status, events = each_person.await_output(
        "worker works at", "run", "--project", str(content), "--", *argv
    )
    assert status == 130, events[-1]


def lay_out(person: Person, name: str) -> Path:
    """Give a copy of the library whose layout is that of public ones."""
    return person.own(Path(shutil.copytree(LIBRARY, person.place / name)))


def test_a_library_of_the_usual_layout_ships_and_its_tests_pass(person: Person) -> None:
    """A solution, projects that refer to each other, central versions, properties from above."""
    project = lay_out(person, "measures")
    ended = person.cloche("ship", str(project))
    assert ended.status == 0, ended.events[-1]
    made = {path.name for path in unpack(person, project, ended).rglob("*.nupkg")}
    assert made == {
        "Measures.2.3.0.nupkg", "Measures.Json.2.3.0.nupkg", "Measures.Logging.2.3.0.nupkg",
    }  # fmt: skip
    tested = person.cloche("test", str(project))
    assert tested.status == 0, tested.events[-1]
    passed = {event["label"] for event in tested.of("progress") if event["step"] == "test"}
    assert "Measures.Tests.LengthTests.LengthsAddUp" in passed
    assert "Measures.Json.Tests.LengthConverterTests.ALengthIsItsMetres" in passed


def test_the_same_library_ships_from_a_solution_of_the_older_form(person: Person) -> None:
    project = lay_out(person, "older")
    (project / "Measures.slnx").unlink()
    projects = sorted(path.relative_to(project) for path in project.rglob("*.csproj"))
    lines = [
        f'Project("{KIND}") = "{path.stem}", "{str(path).replace("/", chr(92))}", "{{{number:08}-0000-0000-0000-000000000000}}"\nEndProject'
        for number, path in enumerate(projects)
    ]
    flavours = [
        f"\t\t{{{number:08}-0000-0000-0000-000000000000}}.Release|Any CPU.{what} = Release|Any CPU"
        for number in range(len(projects))
        for what in ("ActiveCfg", "Build.0")
    ]
    text = "\r\n".join(
        [
            "\ufeff",
            "Microsoft Visual Studio Solution File, Format Version 12.00",
            *lines,
            "Global",
            "\tGlobalSection(SolutionConfigurationPlatforms) = preSolution",
            "\t\tRelease|Any CPU = Release|Any CPU",
            "\tEndGlobalSection",
            "\tGlobalSection(ProjectConfigurationPlatforms) = postSolution",
            *flavours,
            "\tEndGlobalSection",
            "EndGlobal",
            "",
        ]
    )
    person.own(project)
    (project / "Measures.sln").write_text(text)
    ended = person.cloche("ship", str(project))
    assert ended.status == 0, ended.events[-1]
    assert len(list(unpack(person, project, ended).rglob("*.nupkg"))) == 3
