"""A directory is .NET's when a solution or one project lies directly in it; what is further down is not its own."""

from pathlib import Path

import pytest
from tests.unit.runtimes.dotnet.conftest import Files

from cloche.kernel.view import DirectoryView
from cloche.runtimes.dotnet.detect import detect_dotnet
from cloche.runtimes.dotnet.source import find_target, read_source
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.provider import CannotPlan

PROPERTIES = "<PropertyGroup><OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework></PropertyGroup>"
APP = f'<Project Sdk="Microsoft.NET.Sdk">{PROPERTIES}</Project>'
WORKER = APP.replace("NET.Sdk", "NET.Sdk.Worker")
SOLUTION = '<Solution><Project Path="src/app/app.csproj"/></Solution>'


@pytest.mark.parametrize(
    ("files", "target"),
    [
        ({"app.csproj": APP}, "app.csproj"),
        ({"app.vbproj": APP, "tools/gen/gen.csproj": APP}, "app.vbproj"),
        ({"all.slnx": SOLUTION, "src/app/app.csproj": APP}, "all.slnx"),
        ({"all.sln": "", "all.slnx": SOLUTION, "app.csproj": APP}, "all.slnx"),
        ({"all.sln": "", "a.csproj": APP, "b.csproj": APP}, "all.sln"),
    ],
)
def test_a_solution_or_the_one_project_of_a_directory_claims_it(
    files: dict[str, str], target: str
) -> None:
    found = find_target(Files(files))
    assert found is not None
    assert found[0] == target


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": ""},
        {"worker/worker.csproj": APP},
        {"src/all.slnx": SOLUTION, "src/app/app.csproj": APP},
        {"docs/deep/er/sample.csproj": APP, "package.json": "{}"},
        {"app.csproj.user": APP, "app.csproj/readme": ""},
    ],
)
def test_what_lies_further_down_claims_nothing(files: dict[str, str]) -> None:
    assert find_target(Files(files)) is None
    assert detect_dotnet(Files(files)) is None


def test_a_project_at_the_top_is_found_behind_any_number_of_others() -> None:
    files = {f"a/{number}/x.csproj": APP for number in range(1500)}
    assert find_target(Files({**files, "zz.csproj": APP})) == ("zz.csproj", ())


def test_two_projects_and_no_solution_are_a_project_that_says_what_it_lacks() -> None:
    files = Files({"a.csproj": APP, "b.csproj": APP})
    with pytest.raises(CannotPlan, match="dotnet new sln"):
        find_target(files)
    detection = detect_dotnet(files)
    assert detection is not None
    assert detection.stack == "unreadable"


def test_two_projects_of_one_name_are_refused_before_one_overwrites_the_other() -> None:
    listed = '<Project Path="a/app.csproj"/><Project Path="b/App.csproj"/>'
    files = {"all.slnx": f"<Solution>{listed}</Solution>", "a/app.csproj": APP, "b/App.csproj": APP}
    with pytest.raises(CannotPlan, match=r"b/App.csproj: it has the name of a/app.csproj"):
        read_source(Files(files), "10.0.401")


def test_a_front_end_and_a_worker_are_two_directories_of_two_runtimes(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/package.json").write_text('{"name": "web", "scripts": {"build": "true"}}')
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker/worker.csproj").write_text(WORKER)
    node = NodeProvider()
    found = {
        name: [
            detection.stack if detection.runtime_id == "dotnet" else detection.runtime_id
            for detection in (node.detect(view), detect_dotnet(view))
            if detection is not None
        ]
        for name in ("", "web", "worker")
        if (view := DirectoryView(tmp_path / name))
    }
    assert found == {"": [], "web": ["node"], "worker": ["worker"]}
