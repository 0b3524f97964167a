"""One project tries to change what another builds, by all that they share: cargo's cache."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.cargo_double import Double, User, crate, find_cargo, plain
from tests.conformance.cargo_hostile import HEAD

from cloche.runtimes.toolchain import Toolchain

pytestmark = pytest.mark.slow

NEEDS = f'{HEAD}[dependencies]\nhonest = "1"\n'
SAYS = 'fn main() { println!("{}", honest::say()) }'
EVIL = plain("honest", "evil")
# Where it can it puts other content in the place of all that is of the package, and configuration
# and programs where cargo would find them.
POISON = """\
use std::{env, fs, path::Path};

fn spoil(directory: &Path, with: &[u8]) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            spoil(&path, with);
        } else if path.to_string_lossy().contains("honest") {
            let content: &[u8] = match path.extension().and_then(|e| e.to_str()) {
                Some("rs") => b"pub fn say() -> &'static str { \\"evil\\" }",
                _ => with,
            };
            let _ = fs::remove_file(&path);
            fs::write(&path, content).expect("the cache is writable inside");
        }
    }
}

fn main() {
    let home = env::var("CARGO_HOME").unwrap();
    let home = Path::new(&home);
    spoil(home, include_bytes!("evil.crate"));
    fs::write(home.join("config.toml"), "[build]\\nrustc-wrapper = '/project/evil'\\n").unwrap();
    fs::create_dir_all(home.join("bin")).unwrap();
    fs::write(home.join("bin/cargo-build"), "#!/bin/sh\\nexit 7\\n").unwrap();
    println!("cargo:warning=spoiled");
}
"""


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


def lock(user: User, registry: Double, checksum: str, name: str = "honest") -> str:
    """Give a lock as somebody wrote it elsewhere."""
    scratch = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS}, f"lock-{checksum[:8]}")
    user.cargo(scratch, "generate-lockfile")
    text = (scratch / "Cargo.lock").read_text()
    shutil.rmtree(scratch)
    shutil.rmtree(user.place / "plain")
    return text.replace(registry.sum_of(name), checksum)


def said_by(project: Path) -> str:
    done = subprocess.run([project / "target/release/app"], capture_output=True, check=True)
    return done.stdout.decode().strip()


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_what_a_build_writes_there_is_seen_by_no_other(user: User) -> None:
    evil = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS, "build.rs": POISON}, "evil")
    (evil / "evil.crate").write_bytes(EVIL)
    assert user.cloche("resolve", evil).status == 0
    before = digests(user.cache)
    ended = user.cloche("build", evil)
    assert ended.status == 0, ended.text
    assert "spoiled" in ended.text
    assert digests(user.cache) == before
    good = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS}, "good")
    for verb in ("resolve", "build"):
        assert user.cloche(verb, good).status == 0
    assert said_by(good) == "honest"


def test_what_was_unpacked_is_never_kept(user: User) -> None:
    project = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS})
    for verb in ("resolve", "build"):
        assert user.cloche(verb, project).status == 0
    kept = {path.parts[1] for path in map(Path, digests(user.cache))}
    assert kept == {"cache", "index"}


def test_a_mirror_that_gives_another_package_is_not_believed(user: User, registry: Double) -> None:
    registry.instead["honest"] = EVIL
    project = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS})
    ended = user.cloche("resolve", project)
    assert ended.code == "step-failed"
    assert "CHECKSUM" in ended.found()
    assert not list(user.cache.rglob("*.crate"))
    del registry.instead["honest"]
    for verb in ("resolve", "build"):
        assert user.cloche(verb, project).status == 0
    assert said_by(project) == "honest"


def poison(user: User, registry: Double) -> None:
    """Have the registry lie to one project, consistently, and tell the truth again."""
    right = registry.crates["honest"]
    registry.crates["honest"] = EVIL
    victim = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS}, "first")
    for verb in ("resolve", "build"):
        assert user.cloche(verb, victim).status == 0
    assert said_by(victim) == "evil"
    registry.crates["honest"] = right


@pytest.mark.parametrize("verb", ["resolve", "ship", "build"])
def test_what_a_mirror_once_gave_to_one_project_is_not_what_another_locked(
    verb: str, user: User, registry: Double
) -> None:
    wanted = lock(user, registry, registry.sum_of("honest"))
    poison(user, registry)
    good = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS, "Cargo.lock": wanted}, "good")
    # Cargo has the index from when it lied, so it sees for itself.
    ended = user.cloche(verb, good)
    assert ended.code == ("cannot-plan" if verb == "build" else "step-failed")
    assert "CHECKSUM" in ended.found() or verb == "build"
    assert not (good / "target").exists()
    assert (good / "Cargo.lock").read_text() == wanted


def refresh(user: User) -> None:
    """Have the index learned anew, by a project without a lock."""
    other = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS}, "refreshing")
    user.cloche("resolve", other)


@pytest.mark.parametrize("verb", ["resolve", "ship", "build"])
def test_neither_is_it_when_only_the_index_is_right_again(
    verb: str, user: User, registry: Double
) -> None:
    wanted = lock(user, registry, registry.sum_of("honest"))
    poison(user, registry)
    refresh(user)
    good = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS, "Cargo.lock": wanted}, "good")
    assert user.cloche(verb, good).code == ("cannot-plan" if verb == "build" else "cache-unusable")
    assert not (good / "target").exists()


def test_a_cache_that_was_removed_is_filled_again(user: User, registry: Double) -> None:
    wanted = lock(user, registry, registry.sum_of("honest"))
    poison(user, registry)
    refresh(user)
    good = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS, "Cargo.lock": wanted}, "good")
    refusal = user.cloche("resolve", good)
    named = refusal.events[-1]["message"].split()[1].rstrip(":")
    assert user.cache.is_relative_to(named)
    shutil.rmtree(named)
    for verb in ("resolve", "build"):
        assert user.cloche(verb, good).status == 0
    assert said_by(good) == "honest"


def test_a_lock_with_a_wrong_checksum_gets_nothing_and_spoils_nothing(
    user: User, registry: Double
) -> None:
    good = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS}, "good")
    assert user.cloche("resolve", good).status == 0
    before = digests(user.cache)
    wrong = lock(user, registry, hashlib.sha256(EVIL).hexdigest())
    evil = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS, "Cargo.lock": wrong}, "evil")
    assert user.cloche("resolve", evil).status != 0
    assert user.cloche("build", evil).code == "cannot-plan"
    assert digests(user.cache) == before
    assert user.cloche("build", good).status == 0
    assert said_by(good) == "honest"


def test_a_lock_without_checksums_is_refused(user: User, registry: Double) -> None:
    text = lock(user, registry, registry.sum_of("honest"))
    without = "\n".join(line for line in text.splitlines() if "checksum" not in line) + "\n"
    project = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS, "Cargo.lock": without})
    assert user.cloche("resolve", project).code == "lint-refused"
    assert user.cloche("build", project).code == "cannot-plan"
    assert not list(user.cache.rglob("*.crate"))


def test_a_package_that_would_be_unpacked_over_another_is_not(user: User, registry: Double) -> None:
    source = 'pub fn say() -> &\'static str { "evil" }'
    manifest = '[package]\nname = "other"\nversion = "1.0.0"\n'
    registry.crates["other"] = crate(
        "other",
        "1.0.0",
        (("Cargo.toml", manifest), ("src/lib.rs", ""), ("../honest-1.0.0/src/lib.rs", source)),
    )
    project = user.project({"Cargo.toml": f'{NEEDS}other = "1"\n', "src/main.rs": SAYS})
    for verb in ("resolve", "build"):
        assert user.cloche(verb, project).status == 0
    assert said_by(project) == "honest"
    assert not list(user.cache.glob("registry/src"))


def test_builds_of_two_projects_share_nothing(user: User) -> None:
    files = {"Cargo.toml": NEEDS, "src/main.rs": SAYS}
    plant = 'fn main() { std::fs::write("/build/planted", "").unwrap() }'
    evil = user.project({**files, "build.rs": plant}, "evil")
    seek = 'fn main() { assert!(!std::path::Path::new("/build/planted").exists()) }'
    good = user.project({**files, "build.rs": seek}, "good")
    for project in (evil, good):
        for verb in ("resolve", "build"):
            ended = user.cloche(verb, project)
            assert ended.status == 0, ended.text
    assert (evil / "Cargo.lock").read_bytes() == (good / "Cargo.lock").read_bytes()


def test_another_project_at_the_same_place_is_built_anew(user: User) -> None:
    project = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS.replace("{}", "evil {}")})
    for verb in ("resolve", "build"):
        assert user.cloche(verb, project).status == 0
    kept = (project / "Cargo.lock").read_text()
    shutil.rmtree(project)
    again = user.project({"Cargo.toml": NEEDS, "src/main.rs": SAYS, "Cargo.lock": kept})
    for path in (again, *again.rglob("*")):
        os.utime(path, (1, 1))  # as they come out of an archive: older than all that was built
    assert user.cloche("build", again).status == 0
    assert said_by(again) == "honest"
