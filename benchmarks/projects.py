"""The projects that builds are measured on: made once, fetched by the tools' own means, then offline."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.inside import Tool, ToolFailed
from cloche import Kernel

_CACHE = ".npm-cache"
_NPM = ("{0}/bin/node", "{1}/bin/npm-cli.js")
_PACKAGES = {
    "name": "bench",
    "version": "1.0.0",
    "private": True,
    "dependencies": {"express": "^4", "lodash": "^4"},
    "devDependencies": {"eslint": "^9", "jest": "^29", "typescript": "^5", "webpack": "^5"},
}
_CRATE = """[package]
name = "bench"
version = "0.1.0"
edition = "2021"

[dependencies]
regex = "1"
serde = { version = "1", features = ["derive"] }
serde_json = "1"
"""
_MAIN = """use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Line { number: usize, text: String }

fn main() {
    let word = regex::Regex::new(r"\\w+").unwrap();
    let found: Vec<Line> = word
        .find_iter("every word of this line")
        .enumerate()
        .map(|(number, each)| Line { number, text: each.as_str().to_owned() })
        .collect();
    println!("{}", serde_json::to_string(&found).unwrap());
}
"""


async def npm_ci(kernel: Kernel, cache_home: Path, project: Path) -> Tool:
    """Give `npm ci` of some hundred packages, all of which are in a cache beside package.json."""
    project.mkdir(parents=True)
    (project / "package.json").write_text(json.dumps(_PACKAGES, indent=2))
    await (await kernel.project(project)).resolve()
    count = json.loads((project / "package-lock.json").read_text())["packages"]
    await asyncio.to_thread(shutil.rmtree, project / "node_modules")
    await asyncio.to_thread(shutil.copytree, cache_home / "npm/content", project / _CACHE)
    roots = _node_and_npm(kernel)
    # A lock may name no addresses: packages are then found in the cache by the registry's.
    registry = await _told(
        tuple(each.format(*roots) for each in (*_NPM, "config", "get", "registry")), project
    )
    return Tool(
        name=f"npm ci, offline, {len(count) - 1} packages",
        project=project,
        argv=(*_NPM, "ci", "--offline", "--ignore-scripts"),
        roots=roots,
        environment={
            "npm_config_cache": f"{{project}}/{_CACHE}",
            "npm_config_registry": registry,
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "npm_config_update_notifier": "false",
            "npm_config_logs_max": "0",
        },
        made=("node_modules",),
    )


async def vite_build(kernel: Kernel, project: Path) -> Tool:
    """Give the build of the react-ts template, types checked first, as its script says."""
    await kernel.scaffold("react-ts", project, "bench")
    opened = await kernel.project(project)
    await opened.resolve()
    await opened.build()
    return Tool(
        name="vite build of the react-ts template",
        project=project,
        argv=(*_NPM, "run", "build"),
        roots=_node_and_npm(kernel),
        environment={"CI": "1", "npm_config_update_notifier": "false", "npm_config_logs_max": "0"},
        made=("dist",),
        layers=(("node_modules",), ("dist",), ()),
    )


async def cargo_build(project: Path, environment: Mapping[str, str]) -> Tool:
    """Give the build of a small program on regex and serde_json, the sources of all crates beside it.

    Raises ToolFailed where there is no cargo, or where it cannot fetch.
    """
    cargo = shutil.which("cargo", path=f"{environment['PATH']}:{Path.home()}/.cargo/bin")
    if cargo is None:
        raise ToolFailed("there is no cargo")
    (project / "src").mkdir(parents=True)
    (project / "Cargo.toml").write_text(_CRATE)
    (project / "src/main.rs").write_text(_MAIN)
    settings = await _told((cargo, "vendor"), project)
    (project / ".cargo").mkdir()
    (project / ".cargo/config.toml").write_text(settings)
    rustc = str(Path(cargo).parent / "rustc")
    count = len(os.listdir(project / "vendor"))
    return Tool(
        name=f"cargo build, offline, {count} crates",
        project=project,
        argv=("{0}/bin/cargo", "build", "--offline"),
        roots=(Path(await _told((rustc, "--print", "sysroot"), project)),),
        environment={"CARGO_HOME": "{project}/.cargo-home"},
        made=("target", ".cargo-home"),
    )


def _node_and_npm(kernel: Kernel) -> tuple[Path, Path]:
    roots = {tool.name: Path(tool.host_root) for tool in kernel.toolchains()}
    return roots["node"], roots["npm"]


async def _told(argv: tuple[str, ...], place: Path) -> str:
    """Give what a command prints, run with the user's own configuration. Raises ToolFailed."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=place,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await process.communicate()
    if process.returncode:
        raise ToolFailed(f"{Path(argv[0]).name}: {errors.decode(errors='replace').strip()[-200:]}")
    return said.decode().strip()
