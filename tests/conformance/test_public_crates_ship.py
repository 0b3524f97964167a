"""Two programs that many people use, as they are published: shipped by root, and by an ordinary user
whose toolchain lies in a home that nobody else may enter.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.conformance.command import Ended, read_ended
from tests.conformance.crates import (
    AS_OWNER,
    OWNER,
    fetch_crate,
    find_rust,
    make_private_home,
)

from cloche.runtimes.toolchain import Toolchain

Owner = tuple[Path, tuple[str, ...], dict[str, str]]
CRATES = {"ripgrep": ("15.2.0", "rg"), "bat": ("0.26.1", "bat")}
# `python -m benchmarks.crates` ships all of them as well, beside bare cargo.
ON_REQUEST = pytest.mark.skipif(
    not os.environ.get("CLOCHE_TEST_CRATES"),
    reason="takes minutes: CLOCHE_TEST_CRATES=1 asks for it",
)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="cloche-crates-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def rust(place: Path) -> Toolchain:
    return find_rust(place / "digests.json")


def ship(project: Path, prefix: tuple[str, ...], environment: Mapping[str, str]) -> Ended:
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "cloche", "ship", "--json", str(project)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        cwd="/",
        env=dict(environment),
    )
    assert done.stdout, done.stderr
    return read_ended(done)


@pytest.fixture
def owner(place: Path, rust: Toolchain, request: pytest.FixtureRequest) -> Iterator[Owner]:
    """A directory of `identity`'s, what goes before a command of theirs, and their variables."""
    with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as name:
        own = Path(name)
        if request.param == "root":
            yield own, (), {**os.environ, "XDG_STATE_HOME": str(own / "state")}
            return
        if any(
            not parent.stat().st_mode & 0o001
            for start in (sys.executable, os.path.realpath(sys.executable), __file__)
            for parent in Path(start).parents
        ):
            pytest.skip("an ordinary user may not enter where this clone, or its Python, lies")
        home = own / "home"
        home.mkdir()
        environment = make_private_home(rust, home)
        prefix = ()
        if os.geteuid() == 0:
            os.chown(own, OWNER, OWNER)
            prefix = AS_OWNER
        yield own, prefix, dict(environment)


def give(tree: Path, prefix: tuple[str, ...]) -> None:
    if prefix:
        for path in (tree, *tree.rglob("*")):
            os.chown(path, OWNER, OWNER, follow_symlinks=False)


@pytest.mark.parametrize("owner", ["ordinary"], indirect=True)
def test_a_toolchain_in_a_private_home_builds_and_rustups_proxy_never_runs(
    owner: Owner,
) -> None:
    own, prefix, environment = owner
    project = own / "project"
    (project / "src").mkdir(parents=True)
    (project / "Cargo.toml").write_text('[package]\nname = "app"\nversion = "1.0.0"\n')
    (project / "src/main.rs").write_text('fn main() { println!("built"); }\n')
    # Were it obeyed, the proxy would download, or run the project's own programs.
    (project / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "stable"\n')
    give(project, prefix)
    ended = ship(project, prefix, environment)
    assert ended.status == 0, ended.events[-1]
    program = project / "target/release/app"
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"built\n"
    assert not (own / "home/proxy-ran").exists()


@pytest.mark.registry
@pytest.mark.slow
@pytest.mark.parametrize(
    ("crate", "owner"),
    [
        ("ripgrep", "ordinary"),
        pytest.param("ripgrep", "root", marks=(ON_REQUEST, AS_ROOT)),
        pytest.param("bat", "ordinary", marks=ON_REQUEST),
        pytest.param("bat", "root", marks=(ON_REQUEST, AS_ROOT)),
    ],
    indirect=["owner"],
)
def test_a_public_crate_ships_and_its_program_runs(
    crate: str, owner: Owner, rust: Toolchain
) -> None:
    own, prefix, environment = owner
    version, program = CRATES[crate]
    project = fetch_crate(crate, version, rust, own)
    give(project, prefix)
    ended = ship(project, prefix, environment)
    assert ended.status == 0, ended.events[-1]
    built = subprocess.run(
        [project / "target/release" / program, "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert version in built.stdout
    last = [event for event in ended.of("progress") if event["step"] == "build"][-1]
    assert last["done"] == last["total"] > 50, "cargo said how many units there are"
    assert ended.of("artifact-made")
