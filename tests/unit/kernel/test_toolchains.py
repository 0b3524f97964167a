"""Tools are found by looking, and a script that pretends to be node is not one."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.workspace.building import as_nobody, stage_home

from cloche.kernel.errors import NoToolchain
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.node import tools
from cloche.runtimes.toolchain import ToolchainNeed, ToolHome, VersionRule

NODE = replace(tools.NODE, minimum=(20,))
NPM = replace(tools.NPM, minimum=(11,))

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
    need = replace(NODE, minimum=(999,))
    root = prefix(tmp_path / "n", 18, "10.0.0")
    with pytest.raises(NoToolchain) as caught:
        find_toolchains((need,), {"PATH": f"{root}/bin"}, tmp_path / "memory")
    assert "18.1.2" in str(caught.value)


def test_a_version_managers_script_is_not_a_node(tmp_path: Path) -> None:
    shim = tmp_path / "bin/node"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexec something\n")
    shim.chmod(0o755)
    need = replace(NODE, minimum=(999,))
    with pytest.raises(NoToolchain) as caught:
        find_toolchains((need,), {"PATH": str(shim.parent)}, tmp_path / "memory")
    assert str(shim.parent) not in str(caught.value)


def test_a_relative_directory_in_path_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix(tmp_path / "n", 22, "11.4.0")
    monkeypatch.chdir(tmp_path)
    need = replace(NODE, minimum=(999,))
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


CARGO = ToolchainNeed(
    name="rust",
    command="cargo",
    minimum=(1, 70),
    program="bin/cargo",
    parts=("bin/rustc", "lib/rustlib"),
    measured=("bin/cargo", "bin/rustc"),
    versions=(VersionRule(file="bin/rustc", pattern=r"rustc version (\d+\.\d+\.\d+)"),),
    homes=(
        ToolHome(
            below_home=".rustup",
            variable="RUSTUP_HOME",
            roots="toolchains/*",
            chosen_in="settings.toml",
            chosen=r'default_toolchain = "([^"]+)"',
        ),
    ),
    advice="install it",
)


def rust(root: Path, version: str) -> Path:
    for name in ("cargo", "rustc"):
        (root / "bin").mkdir(parents=True, exist_ok=True)
        (root / "bin" / name).write_bytes(b"\x7fELF\0rustc version " + version.encode() + b"\0")
        (root / "bin" / name).chmod(0o755)
    (root / "lib/rustlib").mkdir(parents=True)
    return root


def test_an_installers_proxy_is_no_tool_and_the_users_choice_comes_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    proxies = home / ".cargo/bin"
    proxies.mkdir(parents=True)
    (proxies / "rustup").write_bytes(b"\x7fELF proxy")
    (proxies / "rustup").chmod(0o755)
    (proxies / "cargo").symlink_to("rustup")
    for version in ("1.80.0", "1.95.0", "1.99.1"):
        rust(home / f".rustup/toolchains/{version}-linux", version)
    settings = home / ".rustup/settings.toml"
    settings.write_text('version = "12"\ndefault_toolchain = "1.95.0-linux"\n')
    environment = {"PATH": str(proxies), "HOME": str(home)}

    found = find_toolchains((CARGO,), environment, tmp_path / "memory")["rust"]
    assert (found.version, found.inside) == ("1.95.0", "/toolchain/rust")

    settings.unlink()
    newest = find_toolchains((CARGO,), environment, tmp_path / "memory")["rust"]
    assert newest.version == "1.99.1"
    assert newest.digest != found.digest

    planted = home / "project"
    moved = {**environment, "RUSTUP_HOME": str(planted / ".rustup")}
    rust(planted / ".rustup/toolchains/2.0.0", "2.0.0")
    with pytest.raises(NoToolchain) as caught:
        find_toolchains((CARGO,), moved, tmp_path / "memory", project=planted)
    assert caught.value.remedy == "install it"


def test_a_version_may_be_the_name_of_a_directory(tmp_path: Path) -> None:
    root = tmp_path / "dotnet"
    for version in ("9.0.100", "10.0.401"):
        (root / "sdk" / version).mkdir(parents=True)
        (root / "sdk" / version / "dotnet.dll").write_text(version)
    (root / "dotnet").write_bytes(b"\x7fELF")
    (root / "dotnet").chmod(0o755)
    need = ToolchainNeed(
        name="dotnet",
        minimum=(8,),
        program="dotnet",
        versions=(VersionRule(file="sdk/*/dotnet.dll", pattern=r"sdk/([\d.]+)/", in_name=True),),
        measured=("dotnet", "sdk/*/dotnet.dll"),
        homes=(ToolHome(below_home=".dotnet", variable="DOTNET_ROOT"),),
    )
    found = find_toolchains((need,), {"DOTNET_ROOT": str(root)}, tmp_path / "memory")["dotnet"]
    assert (found.version, found.host_root) == ("10.0.401", str(root))


def test_a_tool_that_stands_around_the_users_own_is_not_shown(tmp_path: Path) -> None:
    """~/.local with a node in it: all of it would be readable to what is built, keyrings too."""
    home = tmp_path / "home"
    around = prefix(home / ".local", 24, "12.0.0")
    apart = prefix(home / ".local/share/versions/v22", 22, "11.4.0")
    environment = {"PATH": f"{around}/bin:{apart}/bin", "HOME": str(home)}
    found = find_toolchains((NODE,), environment, tmp_path / "memory")
    assert found["node"].host_root == str(apart)
    need = replace(NODE, minimum=(23,))
    with pytest.raises(NoToolchain, match=r"24\.1\.2 in .*/\.local, where .*/\.local/share is too"):
        find_toolchains((need,), {**environment, "PATH": f"{around}/bin"}, tmp_path / "memory")


@pytest.mark.parametrize("inside", ["", "work/project", "state"])
def test_a_tool_that_stands_around_the_project_or_our_own_is_not_shown(
    tmp_path: Path, inside: str
) -> None:
    around = prefix(tmp_path / "around", 24, "12.0.0")
    link = tmp_path / "link"
    link.symlink_to(around / inside)
    need, path = replace(NODE, minimum=(23,)), {"PATH": f"{around}/bin"}
    assert find_toolchains((need,), path, tmp_path / "memory")
    for names in ({"project": around / inside}, {"own": (link,)}):
        with pytest.raises(NoToolchain):
            find_toolchains((need,), path, tmp_path / "memory", **names)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", ["[]", "5", '"x"', "null", "[" * 100_000, "\xff"])
def test_a_memory_of_digests_that_makes_no_sense_is_made_anew(tmp_path: Path, content: str) -> None:
    root = prefix(tmp_path / "n", 24, "12.0.0")
    memory = tmp_path / "memory"
    told = find_toolchains((NODE,), {"PATH": f"{root}/bin"}, memory)["node"].digest
    remembered = memory.read_text()
    for text in (content, remembered.replace(told, "0"), remembered.replace(f'"{told}"', "7")):
        memory.write_text(text, encoding="latin-1")
        assert find_toolchains((NODE,), {"PATH": f"{root}/bin"}, memory)["node"].digest == told


def test_a_tool_that_cannot_be_measured_is_not_there() -> None:
    def scene() -> None:
        with tempfile.TemporaryDirectory(dir=stage_home()) as name:
            root = rust(Path(name) / "n", "1.95.0")
            (root / "closed").write_bytes(b"")
            (root / "closed").chmod(0)
            need = replace(CARGO, measured=("bin/cargo", "closed"))
            with pytest.raises(NoToolchain, match=r"1\.95\.0 in .*, but: .*closed"):
                find_toolchains((need,), {"PATH": f"{root}/bin"}, Path(name) / "memory")

    as_nobody(scene)
