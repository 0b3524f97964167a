"""Each kind of publishing that a project's own properties choose, and what a source of packages has not."""

import stat
from pathlib import Path

import pytest
from tests.conformance.command import Ended
from tests.conformance.person import Person
from tests.conformance.test_dotnet_projects_ship import run, unpack

from cloche.runtimes.dotnet.diagnostics.msbuild import NEEDS_PACK

HEAD = "<OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework>"
LINUX = "<RuntimeIdentifier>linux-x64</RuntimeIdentifier>"
WINDOWS = "<RuntimeIdentifier>win-x64</RuntimeIdentifier>"
ALONE = "<SelfContained>true</SelfContained>"
ONE_FILE = "<PublishSingleFile>true</PublishSingleFile>"
ON_WINDOWS = "<OutputType>WinExe</OutputType><TargetFramework>net10.0-windows</TargetFramework>"
PROGRAM = 'System.Console.WriteLine($"on {System.Environment.Version.Major}");\n'
SERVER = 'var app = WebApplication.Create(args);\napp.MapGet("/", () => "here");\napp.Run();\n'
DESKTOP = "class Program { [System.STAThread] static void Main() { } }\n"

pytestmark = pytest.mark.slow


def write(
    person: Person, name: str, properties: str, *, program: str = PROGRAM, sdk: str = ""
) -> Path:
    project = person.place / name
    project.mkdir()
    (project / f"{name}.csproj").write_text(
        f'<Project Sdk="Microsoft.NET.Sdk{sdk}"><PropertyGroup>{properties}'
        "<ImplicitUsings>enable</ImplicitUsings></PropertyGroup></Project>"
    )
    (project / "Program.cs").write_text(program)
    return person.own(project)


def ship(person: Person, project: Path) -> tuple[Ended, Path]:
    ended = person.cloche("ship", str(project))
    assert ended.status == 0, ended.events[-1]
    return ended, unpack(person, project, ended) / f"artifacts/publish/{project.name}"


def is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)


def test_one_that_brings_its_runtime_runs_without_one(person: Person) -> None:
    _, place = ship(person, write(person, "alone", HEAD + LINUX + ALONE))
    assert (place / "libcoreclr.so").is_file()
    assert run(person, place, "./alone") == "on 10\n"


def test_a_single_file_is_one_and_runs(person: Person) -> None:
    _, place = ship(person, write(person, "single", HEAD + LINUX + ALONE + ONE_FILE))
    assert {path.name for path in place.iterdir()} == {"single", "single.pdb"}
    assert run(person, place, "./single") == "on 10\n"


def test_a_web_application_that_brings_its_runtime_answers_from_its_package(
    person: Person,
) -> None:
    properties = HEAD + LINUX + ALONE
    project = write(person, "serving", properties, program=SERVER, sdk=".Web")
    ended = person.cloche("ship", str(project))
    if NEEDS_PACK in ended.codes():
        pytest.skip("the folder of packages has no runtime of ASP.NET for linux-x64")
    assert ended.status == 0, ended.events[-1]
    assert ended.of("preview-ready")


def test_a_single_file_for_windows_takes_an_apphost_alone(person: Person) -> None:
    properties = HEAD + WINDOWS + ONE_FILE + "<SelfContained>false</SelfContained>"
    _, place = ship(person, write(person, "forwindows", properties))
    program = (place / "forwindows.exe").read_bytes()
    assert program[:2] == b"MZ"
    assert b"forwindows.dll" in program
    assert len(program) < 1 << 20
    assert not (place / "forwindows.dll").exists()


def test_a_program_is_published_for_each_of_its_runtimes(person: Person) -> None:
    runtimes = "<RuntimeIdentifiers>linux-x64;win-x64</RuntimeIdentifiers>"
    project = write(person, "several", HEAD + runtimes)
    ended = person.cloche("ship", str(project))
    assert ended.status == 0, ended.events[-1]
    content = unpack(person, project, ended)
    published = content / "artifacts/publish"
    assert is_executable(published / "several-linux-x64/several")
    assert (published / "several-win-x64/several.exe").read_bytes()[:2] == b"MZ"
    assert run(person, published, "dotnet", "several-linux-x64/several.dll") == "on 10\n"


@pytest.mark.parametrize(
    ("name", "properties", "pack"),
    [
        ("winalone", HEAD + WINDOWS + ALONE, "Microsoft.NETCore.App.Runtime.win-x64"),
        ("wpf", f"{ON_WINDOWS}<UseWPF>true</UseWPF>", "Microsoft.WindowsDesktop.App.Ref"),
        (
            "forms",
            f"{ON_WINDOWS}<UseWindowsForms>true</UseWindowsForms>",
            "Microsoft.WindowsDesktop.App.Ref",
        ),
    ],
)
def test_a_pack_that_no_source_has_is_named(
    name: str, properties: str, pack: str, person: Person
) -> None:
    ended = person.cloche("ship", str(write(person, name, properties, program=DESKTOP)))
    if ended.status == 0:
        pytest.skip(f"the folder of packages has {pack}")
    assert ended.events[-1]["code"] == "step-failed"
    assert NEEDS_PACK in ended.codes()
    (said,) = [f["diagnostic"] for f in ended.of("found") if f["diagnostic"]["code"] == NEEDS_PACK]
    assert said["message"].startswith(f"needs PACK {pack}: ")
    assert "add one that does" in said["hint"]
    assert not (person.place / name / "artifacts").exists()
