"""Projects as cargo's users lay them out, shipped or refused by the real cargo; none needs a registry."""

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from tests.conformance.command import Ended, cloche
from tests.conformance.crates import find_rust, make_private_home

APP = '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n'
LOCK = 'version = 4\n\n[[package]]\nname = "app"\nversion = "1.0.0"\n'
MAIN = 'fn main() { println!("{}", 1); }\n'
DEP = '[package]\nname = "dep"\nversion = "1.0.0"\nedition = "2021"\n'

# A program of two libraries of its own, one of them a macro that runs while it is compiled; features on,
# off and by default; a build script; tests in a member.
WORKSPACE = {
    "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n'
    '[workspace.package]\nversion = "2.1.0"\nedition = "2021"\n'
    '[workspace.dependencies]\nwords = { path = "crates/words", default-features = false }\n',
    "crates/teller/Cargo.toml": '[package]\nname = "teller"\nversion.workspace = true\nedition.workspace = true\n'
    '[features]\ndefault = ["by-default"]\nby-default = []\nnever = []\n'
    '[dependencies]\nwords = { workspace = true, features = ["asked"] }\nmade = { path = "../made" }\n'
    '[[bin]]\nname = "gated"\nrequired-features = ["never"]\n',
    "crates/teller/build.rs": "fn main() {\n"
    '    let place = std::env::var("OUT_DIR").unwrap() + "/text.rs";\n'
    '    std::fs::write(place, "pub const SCRIPT: &str = \\"script\\";").unwrap();\n'
    '    println!("cargo:rerun-if-changed=build.rs");\n}\n',
    "crates/teller/src/main.rs": 'include!(concat!(env!("OUT_DIR"), "/text.rs"));\nmade::constant!();\n'
    "fn main() {\n"
    '    println!("{SCRIPT} {MACRO} {} {}", words::said(), cfg!(feature = "by-default"));\n}\n',
    "crates/teller/src/bin/gated.rs": 'compile_error!("its feature is off");\n',
    "crates/words/Cargo.toml": '[package]\nname = "words"\nversion.workspace = true\nedition.workspace = true\n'
    "[features]\nleft-out = []\nasked = []\n",
    "crates/words/src/lib.rs": "pub fn said() -> String {\n"
    '    format!("{} {}", cfg!(feature = "left-out"), cfg!(feature = "asked"))\n}\n'
    '#[test]\nfn says_what_was_asked() { assert!(said().contains(" ")); }\n',
    "crates/words/tests/whole.rs": "#[test]\nfn says_something() { assert!(!words::said().is_empty()); }\n",
    "crates/made/Cargo.toml": '[package]\nname = "made"\nversion = "0.1.0"\nedition = "2021"\n[lib]\nproc-macro = true\n',
    "crates/made/src/lib.rs": "use proc_macro::TokenStream;\n#[proc_macro]\n"
    "pub fn constant(_: TokenStream) -> TokenStream {\n"
    '    "const MACRO: &str = \\"macro\\";".parse().unwrap()\n}\n',
}


def write(root: Path, files: Mapping[str, str]) -> Path:
    project = root / "project"
    for name, content in files.items():
        target = project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return project


def packaged(project: Path, ended: Ended) -> dict[str, bytes]:
    """Give each member of the package that was made."""
    (made,) = ended.of("artifact-made")
    with tarfile.open(project / made["path"]) as archive:
        streams = {member.name: archive.extractfile(member) for member in archive}
        return {name: stream.read() for name, stream in streams.items() if stream is not None}


def found(ended: Ended) -> list[dict[str, object]]:
    return [event["diagnostic"] for event in ended.of("found")]


def test_a_workspace_with_features_a_macro_and_a_build_script_ships_and_its_tests_run(
    tmp_path: Path,
) -> None:
    project = write(tmp_path, WORKSPACE)
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    program = project / "target/release/teller"
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert said == "script macro false true true\n"
    assert not (project / "target/release/gated").exists()
    package = packaged(project, ended)
    assert package["content/target/release/teller"] == program.read_bytes()
    assert {
        m["path"] for m in json.loads(package["manifest.json"])["members"] if m["executable"]
    } == {"content/target/release/teller"}
    tested = cloche(project, "test")
    assert tested.status == 0, tested.events[-1]
    counted = [e for e in tested.of("progress") if e["step"] == "test"]
    assert (counted[-1]["done"], counted[-1]["total"]) == (2, 2)


def vendored(config: str, manifest: str, checksum: str | None) -> dict[str, str]:
    """Give a project with one package in it, as `cargo vendor` leaves it."""
    sources = {"Cargo.toml": DEP, "src/lib.rs": "pub fn one() -> u8 { 1 }\n"}
    files = {name: sha256(content.encode()).hexdigest() for name, content in sources.items()}
    return {
        "Cargo.toml": APP + manifest,
        "src/main.rs": 'fn main() { println!("{}", dep::one()); }\n',
        ".cargo/config.toml": f'[source.crates-io]\nreplace-with = "vendored-sources"\n{config}'
        '[source.vendored-sources]\ndirectory = "vendor"\n',
        **{f"vendor/dep/{name}": content for name, content in sources.items()},
        "vendor/dep/.cargo-checksum.json": json.dumps({"files": files, "package": checksum}),
    }


FROM_REGISTRY = vendored("", '[dependencies]\ndep = "1"\n', "ab" * 32)
GIT = "https://git.example.org/dep"
FROM_GIT = vendored(
    f'[source."git+{GIT}"]\ngit = "{GIT}"\nreplace-with = "vendored-sources"\n',
    f'[dependencies]\ndep = {{ git = "{GIT}" }}\n',
    None,
) | {
    "Cargo.lock": LOCK.rstrip() + '\ndependencies = [\n "dep",\n]\n\n'
    f'[[package]]\nname = "dep"\nversion = "1.0.0"\nsource = "git+{GIT}#{"0" * 40}"\n'
}


@pytest.mark.parametrize("locked", [True, False])
def test_a_vendored_project_ships_without_a_network(tmp_path: Path, locked: bool) -> None:
    project = write(tmp_path, FROM_REGISTRY)
    if locked:
        made = cloche(project, "resolve")
        assert made.status == 0, made.events[-1]
        assert "checksum" in (project / "Cargo.lock").read_text()
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    assert not ended.of("allowed"), "it reached for a network"
    assert (project / "target/release/app").is_file()


def test_a_dependency_from_git_is_refused_and_one_that_is_vendored_ships(tmp_path: Path) -> None:
    asked = write(tmp_path / "asked", {"Cargo.toml": FROM_GIT["Cargo.toml"], "src/main.rs": MAIN})
    ended = cloche(asked, "ship")
    assert (ended.status, ended.events[-1]["code"]) == (106, "lint-refused")
    assert GIT in ended.events[-1]["reasons"][0]
    assert "cargo vendor" in ended.events[-1]["reasons"][0]
    ended = cloche(write(tmp_path / "vendored", FROM_GIT), "ship")
    assert ended.status == 0, ended.events[-1]


@pytest.mark.parametrize("stale", ["a version", "a member"])
def test_a_stale_lock_stops_a_build_and_resolve_mends_it(tmp_path: Path, stale: str) -> None:
    files = {"Cargo.toml": APP, "Cargo.lock": LOCK, "src/main.rs": MAIN}
    if stale == "a version":
        files["Cargo.toml"] = APP.replace("1.0.0", "1.0.1")
    else:
        files |= {
            "Cargo.toml": APP + '[dependencies]\ndep = { path = "dep" }\n',
            "dep/Cargo.toml": DEP,
            "dep/src/lib.rs": "",
        }
    project = write(tmp_path, files)
    ended = cloche(project, "build")
    assert ended.events[-1]["code"] == "step-failed"
    assert ended.codes() == {"LOCK_STALE"}
    assert "cloche resolve" in str(found(ended)[0]["hint"])
    assert (project / "Cargo.lock").read_text() == LOCK
    assert cloche(project, "resolve").status == 0
    assert (project / "Cargo.lock").read_text() != LOCK
    assert cloche(project, "build").status == 0


NO_LINKERS = {
    "one that is named": '[target.x86_64-unknown-linux-gnu]\nlinker = "no-such-cc"\n',
    "none in PATH": '[env]\nPATH = { value = "RUST/bin", force = true }\n',
}


@pytest.mark.parametrize("way", NO_LINKERS)
def test_a_missing_linker_is_said_and_how_to_get_one(tmp_path: Path, way: str) -> None:
    files = {"Cargo.toml": APP, "Cargo.lock": LOCK, "src/main.rs": MAIN}
    rust = find_rust(tmp_path / "digests.json")
    if rust.inside == "/usr":
        pytest.skip("no PATH with rustc and without cc: both lie in /usr/bin")
    settings = NO_LINKERS[way].replace("RUST", rust.inside)
    project = write(tmp_path, files | {".cargo/config.toml": settings})
    ended = cloche(project, "build")
    assert ended.events[-1]["code"] == "step-failed"
    assert ended.codes() == {"NO_LINKER"}, found(ended)
    assert "C compiler" in str(found(ended)[0]["hint"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rust-toolchain.toml", '[toolchain]\nchannel = "1.2.3"\n', "it wants 1.2.3"),
        ("rust-toolchain", "1.2.3\n", "it wants 1.2.3"),
        ("rust-toolchain.toml", '[toolchain]\npath = "evil"\n', "a toolchain by path"),
    ],
)
def test_another_toolchain_than_the_one_found_is_asked_for_by_name(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    project = write(tmp_path, {"Cargo.toml": APP, "src/main.rs": MAIN, name: content})
    ended = cloche(project, "ship")
    assert (ended.status, ended.events[-1]["code"]) == (105, "cannot-plan")
    assert said in ended.events[-1]["message"]
    assert not ended.of("step-started")


def test_an_error_of_the_compiler_is_told_with_its_place(tmp_path: Path) -> None:
    source = 'fn main() {\n    let text: u8 = "a";\n}\n'
    project = write(tmp_path, {"Cargo.toml": APP, "Cargo.lock": LOCK, "src/main.rs": source})
    ended = cloche(project, "build")
    assert ended.events[-1]["code"] == "step-failed"
    (error,) = [one for one in found(ended) if one["severity"] == "error"]
    assert (error["code"], error["file"], error["line"]) == ("E0308", "src/main.rs", 2)


def test_a_test_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    source = MAIN + "#[test]\nfn adds() {\n    assert_eq!(1 + 1, 3);\n}\n#[test]\nfn holds() {}\n"
    project = write(tmp_path, {"Cargo.toml": APP, "Cargo.lock": LOCK, "src/main.rs": source})
    ended = cloche(project, "test")
    assert ended.events[-1]["code"] == "step-failed"
    (failure,) = [one for one in found(ended) if one["severity"] == "error"]
    assert (failure["code"], failure["file"], failure["line"]) == ("TEST_FAILED", "src/main.rs", 4)
    assert "adds" in str(failure["message"])


def test_what_clippy_finds_is_told_and_stops_nothing(tmp_path: Path) -> None:
    source = 'fn main() {\n    let list = vec![1];\n    println!("{}", list.len() == 0);\n}\n'
    project = write(tmp_path, {"Cargo.toml": APP, "Cargo.lock": LOCK, "src/main.rs": source})
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    finding = next(e["diagnostic"] for e in ended.of("found") if e["step"] == "clippy")
    if finding["code"] == "NO_CLIPPY":
        pytest.skip("the toolchain has no clippy")
    assert ("src/main.rs", 3) in {(one["file"], one["line"]) for one in found(ended)}


def test_a_toolchain_without_clippy_is_said_and_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    variables = make_private_home(find_rust(tmp_path / "digests.json"), home)
    (clippy,) = home.glob(".rustup/toolchains/*/bin/cargo-clippy")
    clippy.unlink()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    files = {"Cargo.toml": APP, "Cargo.lock": LOCK, "src/main.rs": MAIN}
    ended = cloche(write(tmp_path, files), "ship")
    assert ended.status == 0, ended.events[-1]
    assert ended.codes() == {"NO_CLIPPY"}


def test_a_library_is_packed_as_its_registry_would_have_it(tmp_path: Path) -> None:
    files = {
        "Cargo.toml": DEP + 'license = "MIT"\ndescription = "d"\n',
        "src/lib.rs": "pub fn one() -> u8 { 1 }\n",
        "README.md": "# dep\n",
        "notes/private.txt": "x",
    }
    project = write(tmp_path, files)
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    place = "target/package/dep-1.0.0.crate"
    crate = packaged(project, ended)[f"content/{place}"]
    assert crate == (project / place).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(crate)) as inner:
        names = inner.getnames()
        lib = inner.extractfile("dep-1.0.0/src/lib.rs")
        assert lib is not None
        assert lib.read().decode() == files["src/lib.rs"]
    assert {"dep-1.0.0/Cargo.toml", "dep-1.0.0/Cargo.toml.orig"} <= set(names)
