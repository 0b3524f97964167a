"""The example of three runtimes: a page, a Rust service and a .NET worker are one project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conformance.command import Ended, read_ended
from tests.conformance.dotnet_sdk import Sdk
from tests.conformance.preview_double import Previewing, ask

from cloche.kernel.errors import NoToolchain
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.rust.provider import RustProvider

SHOP = Path(__file__).resolve().parents[2] / "examples/shop"
PARTS = ("service", "web", "worker")


@pytest.fixture(scope="module")
def environment(sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home of its own, with this user's tools and what they are configured with."""
    home = tmp_path_factory.mktemp("home")
    memory = tmp_path_factory.mktemp("tools") / "digests.json"
    try:
        for provider in (NodeProvider, RustProvider):
            find_toolchains(provider.toolchains, os.environ, memory)
    except NoToolchain as missing:
        pytest.skip(f"not every tool of the example is here: {missing}")
    theirs = Path.home()
    for name in (".npmrc", ".cargo/config.toml"):
        if (theirs / name).is_file():
            (home / name).parent.mkdir(exist_ok=True)
            shutil.copy(theirs / name, home / name)
    wanted = re.compile(
        r"(?i)npm_config_|cargo_registries_|https?_proxy\Z|no_proxy\Z|.*_CA_CERTS\Z|PATH\Z"
    )
    taken = {key: value for key, value in os.environ.items() if wanted.match(key)}
    rustup = os.environ.get("RUSTUP_HOME") or str(theirs / ".rustup")
    return {**taken, "RUSTUP_HOME": rustup, **sdk.environment(home)}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHOP, tmp_path / "shop"))


def cloche(environment: dict[str, str], verb: str, project: Path) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "cloche", verb, "--json", str(project)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=environment,
    )
    return read_ended(done)


def contents(project: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_all_three_ship_in_one_transaction_and_one_undo_takes_them_back(
    environment: dict[str, str], shop: Path
) -> None:
    before = contents(shop)
    ended = cloche(environment, "ship", shop)
    assert ended.status == 0, ended.events[-1]
    made = {event["part"]: event["path"] for event in ended.of("artifact-made")}
    assert tuple(sorted(made)) == PARTS
    for part, path in made.items():
        assert path.startswith(f"artifacts/{part}/")
        verified = subprocess.run(
            [sys.executable, "-m", "cloche", "verify", str(shop / path)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert verified.returncode == 0, verified.stderr
    assert len(ended.of("changes-committed")) == 1
    assert cloche(environment, "undo", shop).status == 0
    assert contents(shop) == before


def test_one_that_does_not_compile_changes_nothing_of_any(
    environment: dict[str, str], shop: Path
) -> None:
    with (shop / "worker/Worker.cs").open("a") as source:
        source.write("class Broken {")
    before = contents(shop)
    ended = cloche(environment, "ship", shop)
    assert ended.events[-1]["message"].startswith("worker: ")
    found = [event for event in ended.of("found") if event["diagnostic"]["code"].startswith("CS")]
    assert {event["part"] for event in found} == {"worker"}
    assert contents(shop) == before


def test_the_page_and_the_service_are_previewed_together(
    environment: dict[str, str], shop: Path
) -> None:
    assert cloche(environment, "resolve", shop).status == 0
    with Previewing(shop, environment) as running:
        ports = {}
        while len(ports) < 2:
            ready = running.wait_for("preview-ready")
            ports[ready["part"]] = int(ready["url"].rstrip("/").rpartition(":")[2])
        assert b'<div id="root">' in ask(ports["web"])
        assert b'"jars","left":3' in ask(ports["service"], path="/items")
        assert running.interrupt() == 130
