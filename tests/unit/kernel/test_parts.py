"""Which directories of a project are its parts."""

import json
import os
from pathlib import Path

import pytest

from cloche.kernel.parts import NoSuchPart, TooManyParts, find_parts, find_whole
from cloche.runtimes.dotnet.provider import DotNetProvider
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import Detection
from cloche.runtimes.rust.provider import RustProvider

PROVIDERS = (NodeProvider(), RustProvider(), DotNetProvider())
MANIFESTS = {
    "node": ("package.json", json.dumps({"name": "app", "scripts": {"build": "true"}})),
    "rust": ("Cargo.toml", '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'),
    "dotnet": ("app.csproj", '<Project Sdk="Microsoft.NET.Sdk" />'),
}


def put(root: Path, directory: str, runtime: str) -> None:
    place = root / directory
    place.mkdir(parents=True, exist_ok=True)
    name, content = MANIFESTS[runtime]
    (place / name).write_text(content)


def names(root: Path, *named: str) -> list[tuple[str, str]]:
    found = find_parts(root, PROVIDERS, named)
    return [(claim.name, claim.provider.runtime_id) for claim in found]


def test_three_runtimes_side_by_side_are_three_parts_in_the_order_of_their_paths(
    tmp_path: Path,
) -> None:
    put(tmp_path, "worker", "dotnet")
    put(tmp_path, "services/api", "rust")
    put(tmp_path, "web", "node")
    assert names(tmp_path) == [("services/api", "rust"), ("web", "node"), ("worker", "dotnet")]


def test_a_project_that_is_claimed_whole_is_one_part(tmp_path: Path) -> None:
    put(tmp_path, "", "node")
    put(tmp_path, "native", "rust")
    assert names(tmp_path) == [(".", "node")]


def test_a_part_inside_of_a_whole_is_one_when_it_is_named(tmp_path: Path) -> None:
    put(tmp_path, "", "node")
    put(tmp_path, "native", "rust")
    assert names(tmp_path, ".", "native") == [(".", "node"), ("native", "rust")]
    assert names(tmp_path, "./native/") == [("native", "rust")]


def test_a_package_of_the_same_runtime_belongs_to_the_whole(tmp_path: Path) -> None:
    put(tmp_path, "", "node")
    put(tmp_path, "packages/a", "node")
    with pytest.raises(NoSuchPart):
        names(tmp_path, "packages/a")


def test_below_a_part_there_is_no_other(tmp_path: Path) -> None:
    put(tmp_path, "web", "node")
    put(tmp_path, "web/fixtures/crate", "rust")
    put(tmp_path, "web-admin", "node")
    assert names(tmp_path) == [("web", "node"), ("web-admin", "node")]


@pytest.mark.parametrize("made", ["node_modules/a", "target/a", "dist", ".hidden", "a/bin/b"])
def test_what_tools_made_is_no_part(tmp_path: Path, made: str) -> None:
    put(tmp_path, made, "node")
    put(tmp_path, "web", "node")
    assert names(tmp_path) == [("web", "node")]


def test_the_fourth_level_is_the_deepest(tmp_path: Path) -> None:
    put(tmp_path, "a/b/c/d", "node")
    put(tmp_path, "z/b/c/d/e", "node")
    assert names(tmp_path) == [("a/b/c/d", "node")]


def test_a_link_leads_to_no_part(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere", "node")
    project = tmp_path / "project"
    put(project, "api", "rust")
    (project / "web").symlink_to("../elsewhere")
    assert names(project) == [("api", "rust")]


def test_many_parts_want_to_be_named(tmp_path: Path) -> None:
    for number in range(17):
        put(tmp_path, f"part{number:02}", "node")
    with pytest.raises(TooManyParts):
        names(tmp_path)
    assert names(tmp_path, "part03", "part16") == [("part03", "node"), ("part16", "node")]


def test_a_name_that_is_no_part_is_told_with_those_that_are(tmp_path: Path) -> None:
    put(tmp_path, "web", "node")
    with pytest.raises(NoSuchPart, match="web"):
        names(tmp_path, "../web")


def test_who_has_too_many_parts_is_not_asked_of_all(tmp_path: Path) -> None:
    asked = []

    class Counting(NodeProvider):
        def detect(self, view: ProjectView) -> Detection | None:
            asked.append(view)
            return super().detect(view)

    for number in range(100):
        put(tmp_path, f"part{number:03}", "node")
    with pytest.raises(TooManyParts):
        find_parts(tmp_path, (Counting(),))
    assert len(asked) == 1 + 17  # of the whole, and of the first too many


@pytest.mark.parametrize("name", ["package.json", "Cargo.toml", "app.csproj"])
def test_a_directory_of_a_manifests_name_is_no_manifest(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "web" / name).mkdir(parents=True)
    put(tmp_path, "api", "rust")
    assert names(tmp_path) == [("api", "rust")]
    assert find_whole(tmp_path, PROVIDERS) is None


def test_what_lies_too_deep_to_be_named_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "", "node")
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=deep)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    assert names(tmp_path) == [(".", "node")]
