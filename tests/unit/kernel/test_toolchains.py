"""Tools are found by looking, and a script that pretends to be node is not one."""

from pathlib import Path

import pytest

from cloche.kernel.errors import NoToolchain
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.toolchain import ToolchainNeed

NODE = ToolchainNeed(name="node", minimum=(20,), extra="node")
NPM = ToolchainNeed(name="npm", minimum=(11,), extra="node")
HEADER = (
    "#define NODE_MAJOR_VERSION {}\n#define NODE_MINOR_VERSION 1\n#define NODE_PATCH_VERSION 2\n"
)


def prefix(root: Path, major: int, npm: str) -> Path:
    (root / "bin").mkdir(parents=True)
    program = root / "bin/node"
    program.write_bytes(b"\x7fELF rest")
    program.chmod(0o755)
    (root / "include/node").mkdir(parents=True)
    (root / "include/node/node_version.h").write_text(HEADER.format(major))
    package = root / "lib/node_modules/npm"
    (package / "bin").mkdir(parents=True)
    (package / "bin/npm-cli.js").write_text("")
    (package / "bin/npm-cli.js").chmod(0o755)
    (package / "package.json").write_text(f'{{"version": "{npm}"}}')
    (root / "bin/npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    return root


def test_the_users_own_node_is_found_with_its_version(tmp_path: Path) -> None:
    root = prefix(tmp_path / "n", 22, "11.4.0")
    tools = find_toolchains((NODE, NPM), {"PATH": f"{root}/bin"}, tmp_path / "memory")
    assert tools["node"].version == "22.1.2"
    assert tools["node"].inside == "/toolchain/node"
    assert tools["npm"].version == "11.4.0"
    assert tools["npm"].host_root == str(root / "lib/node_modules/npm")


def test_a_tool_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = prefix(tmp_path / "old", 18, "10.9.0")
    new = prefix(tmp_path / "new", 24, "12.0.0")
    path = f"{old}/bin:{new}/bin"
    tools = find_toolchains((NODE, NPM), {"PATH": path}, tmp_path / "memory")
    assert tools["node"].version == "24.1.2"
    assert tools["npm"].version == "12.0.0"


def test_nothing_new_enough_says_what_was_found(tmp_path: Path) -> None:
    need = ToolchainNeed(name="node", minimum=(999,), extra="node")
    root = prefix(tmp_path / "n", 18, "10.0.0")
    with pytest.raises(NoToolchain) as caught:
        find_toolchains((need,), {"PATH": f"{root}/bin"}, tmp_path / "memory")
    assert "18.1.2" in str(caught.value)


def test_a_version_managers_script_is_not_a_node(tmp_path: Path) -> None:
    shim = tmp_path / "bin/node"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexec something\n")
    shim.chmod(0o755)
    need = ToolchainNeed(name="node", minimum=(999,), extra="node")
    with pytest.raises(NoToolchain) as caught:
        find_toolchains((need,), {"PATH": str(shim.parent)}, tmp_path / "memory")
    assert str(shim.parent) not in str(caught.value)


def test_a_relative_directory_in_path_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix(tmp_path / "n", 22, "11.4.0")
    monkeypatch.chdir(tmp_path)
    need = ToolchainNeed(name="node", minimum=(999,), extra="node")
    with pytest.raises(NoToolchain) as caught:
        find_toolchains((need,), {"PATH": "n/bin"}, tmp_path / "memory")
    assert "22.1.2" not in str(caught.value)


def test_a_tool_that_came_with_a_project_is_not_the_users(tmp_path: Path) -> None:
    project = tmp_path / "project"
    planted = prefix(project / "tools", 24, "99.0.0")
    installed = project / "node_modules/.bin"
    installed.mkdir(parents=True)
    (installed / "npm").symlink_to(planted / "lib/node_modules/npm/bin/npm-cli.js")
    own = prefix(tmp_path / "own", 22, "11.4.0")
    path = f"{installed}:{planted}/bin:{own}/bin"

    tools = find_toolchains((NODE, NPM), {"PATH": path}, tmp_path / "memory", project=project)

    assert tools["npm"].host_root == str(own / "lib/node_modules/npm")
    assert tools["node"].host_root == str(own)


def test_what_npm_puts_into_path_is_passed_over_without_a_project_too(tmp_path: Path) -> None:
    planted = prefix(tmp_path / "n", 24, "99.0.0")
    installed = tmp_path / "above/node_modules/.bin"
    installed.mkdir(parents=True)
    (installed / "npm").symlink_to(planted / "lib/node_modules/npm/bin/npm-cli.js")
    own = prefix(tmp_path / "own", 22, "11.4.0")

    tools = find_toolchains((NPM,), {"PATH": f"{installed}:{own}/bin"}, tmp_path / "memory")

    assert tools["npm"].version == "11.4.0"
