"""`cloche resolve` with real cargo: what is asked of whom, and what is not asked again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.cargo_double import Double, Ended, User, find_cargo, plain
from tests.conformance.cargo_hostile import HEAD

from cloche.runtimes.toolchain import Toolchain

pytestmark = pytest.mark.slow

NEEDS = f'{HEAD}[dependencies]\nhonest = "1"\n'
FILES = {"Cargo.toml": NEEDS, "src/main.rs": 'fn main() { println!("{}", honest::say()) }'}


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    return find_cargo(tmp_path_factory.mktemp("tools") / "digests.json")


@pytest.fixture
def registry() -> Iterator[Double]:
    with Double({name: plain(name) for name in ("cfg-if", "honest", "other")}) as double:
        yield double


@pytest.fixture
def user(tmp_path: Path, registry: Double, tool: Toolchain) -> User:
    return User(tmp_path, registry, tool)


def steps(ended: Ended) -> list[str]:
    assert ended.status == 0, ended.text
    return [event["step"] for event in ended.events if event["type"] == "step-started"]


def test_what_is_there_is_fetched_and_asked_for_once(user: User, registry: Double) -> None:
    project = user.project(FILES)
    asking = ["discover-cargo", "discover-index", "discover-packages"]
    assert steps(user.cloche("resolve", project)) == [*asking, "lock", "fetch"]
    assert registry.downloads().count("honest") == 1
    registry.asked.clear()
    assert steps(user.cloche("resolve", project)) == []
    assert steps(user.cloche("build", project)) == ["build"]
    assert registry.asked == []
    done = subprocess.run([project / "target/release/app"], capture_output=True, check=True)
    assert done.stdout == b"honest\n"


def test_a_dependency_that_was_added_is_fetched_and_the_rest_kept(
    user: User, registry: Double
) -> None:
    project = user.project(FILES)
    assert user.cloche("resolve", project).status == 0
    (project / "Cargo.toml").write_text(f'{NEEDS}other = "1"\n')
    registry.asked.clear()
    assert steps(user.cloche("resolve", project))[-3:] == ["fetch", "lock-anew", "fetch"]
    assert registry.downloads().count("other") == 1
    assert "honest" not in registry.downloads()
    assert steps(user.cloche("resolve", project)) == []
    assert steps(user.cloche("build", project)) == ["build"]


def test_a_project_ships_from_nothing_and_again_without_a_question(
    user: User, registry: Double
) -> None:
    project = user.project(FILES)
    assert steps(user.cloche("ship", project))[:5][-2:] == ["lock", "fetch"]
    registry.asked.clear()
    assert "fetch" not in steps(user.cloche("ship", project))
    assert registry.asked == []
    user.cargo(project, "build")  # the user's own
    assert "build" in steps(user.cloche("ship", project))


def test_another_configuration_is_asked_for_anew(user: User) -> None:
    project = user.project(FILES)
    user.cloche("resolve", project)
    user.configuration += "[net]\nretry = 1\n"
    assert steps(user.cloche("resolve", project))[0] == "discover-cargo"


def test_a_home_of_cargo_elsewhere_is_followed(user: User, registry: Double) -> None:
    user.write_configuration(user.place / "elsewhere")
    user.environment["CARGO_HOME"] = str(user.place / "elsewhere")
    user.configuration = "[source.crates-io]\nreplace-with = 'none'\n[source.none]\nregistry = 'sparse+http://none.example.org/'\n"
    assert steps(user.cloche("resolve", user.project(FILES)))[-1] == "fetch"
    assert "honest" in registry.downloads()


def test_a_home_of_cargo_in_the_project_is_not(user: User) -> None:
    project = user.project(FILES)
    user.write_configuration(project / "home")
    user.environment["CARGO_HOME"] = str(project / "home")
    user.configuration = "[source.crates-io]\nreplace-with = 'none'\n[source.none]\nregistry = 'sparse+http://none.example.org/'\n"
    ended = user.cloche("resolve", project)
    assert ended.status != 0
    assert "none.example.org" in ended.text


def test_what_a_user_changes_in_a_target_directory_meanwhile_is_a_conflict(user: User) -> None:
    clears = 'fn main() { std::fs::remove_dir_all("/project/target").unwrap() }'
    files = {"Cargo.toml": HEAD, "src/main.rs": "fn main() {}", "build.rs": clears}
    project = user.project({**files, "target/notes": "mine"})
    assert user.cloche("resolve", project).status == 0
    ended = user.cloche("build", project, "--hold")
    assert ended.status == 0, ended.text
    (project / "target/notes").write_text("mine, and newer")
    ended = user.cloche("commit", project)
    assert ended.status != 0
    assert (project / "target/notes").read_text() == "mine, and newer"
