"""What the Rust provider plans, from data alone: nothing here runs cargo."""

from dataclasses import replace

import pytest

from cloche.errors import ClocheError
from cloche.kernel.invariants import check_plan
from cloche.model.step import Net, Plan, Source, Trust
from cloche.runtimes.provider import Answer, CannotPlan, HostFacts, LintRefused, RegistryFacts
from cloche.runtimes.rust.checked import checked_key
from cloche.runtimes.rust.lock import read_lock
from cloche.runtimes.rust.provider import RustProvider
from cloche.runtimes.rust.settings import is_channel
from cloche.runtimes.toolchain import Toolchain
from cloche.testing.view import MemoryView

SOURCE = "registry+https://index.example.org/usual"
SUM = "ab" * 32
RUST = Toolchain(
    name="rust", host_root="/t", inside="/toolchain/rust", version="1.95.0", digest="0" * 64
)
FACTS = HostFacts(
    toolchains={"rust": RUST},
    registry=RegistryFacts(
        urls=("https://index.example.org/",), settings={"source": SOURCE, "questions": "all"}
    ),
)
REGISTRY = FACTS.registry
assert REGISTRY is not None
PACKAGE = '[package]\nname = "app"\nversion = "1.2.3"\n'
OWN = '[[package]]\nname = "app"\nversion = "1.2.3"\n'


def lock(source: str = SOURCE, checksum: str = SUM) -> str:
    return (
        f'version = 4\n{OWN}[[package]]\nname = "dep"\nversion = "1.0.0"\n'
        f'source = "{source}"\nchecksum = "{checksum}"\n'
    )


LOCKED = read_lock("", lock().encode())
CHECKED = replace(FACTS, fetched=frozenset({checked_key(LOCKED, "", FACTS)}))


def view(manifest: str = f'{PACKAGE}[dependencies]\ndep = "1"\n', **files: str) -> MemoryView:
    named = {
        name.replace("__", "/").replace("_toml", ".toml"): text for name, text in files.items()
    }
    return MemoryView({"Cargo.toml": manifest, "src/main.rs": "fn main() {}", **named})


def with_lock(text: str) -> MemoryView:
    return MemoryView(
        {
            "Cargo.toml": f'{PACKAGE}[dependencies]\ndep = "1"\n',
            "src/main.rs": "fn main() {}",
            "Cargo.lock": text,
            ".cargo/config.toml": '[build]\nrustc-wrapper = "./evil"\n[alias]\nfetch = "run"\n',
        }
    )


def resolve(project: MemoryView, facts: HostFacts = FACTS) -> Plan:
    plan = RustProvider().resolve_dependencies(project, facts)
    check_plan(plan)
    return plan


def test_fetch_steps_see_no_configuration_of_the_project_and_run_its_wrappers_nowhere() -> None:
    plan = resolve(with_lock(lock()))
    for step in plan.steps:
        assert (step.trust, step.net) == (Trust.TOOL, Net.REGISTRY)
        assert not any(mount.source is Source.PROJECT for mount in step.mounts)
        assert step.cwd == "/home/user"
        assert step.env["RUSTC_WRAPPER"] == ""
        assert step.env["RUSTC"].startswith("@rust/")
    (projection,) = plan.projections
    assert sorted(projection.files) == ["Cargo.lock", "Cargo.toml", "src/main.rs"]
    assert projection.files["src/main.rs"] == b""


def test_a_lock_is_made_first_and_the_plan_asks_to_be_made_again() -> None:
    plan = resolve(view())
    assert [step.id for step in plan.steps] == ["lock"]
    assert plan.again


def test_what_is_in_the_cache_is_not_fetched_again() -> None:
    key = resolve(with_lock(lock())).steps[0].skip_key
    assert resolve(with_lock(lock()), replace(FACTS, fetched=frozenset({key}))).steps == ()


@pytest.mark.parametrize(
    "text",
    [
        lock(source="git+https://code.example.org/dep"),
        lock(source="registry+https://evil.example.org/index"),
        lock(checksum=""),
        lock(checksum="zz" * 32),
    ],
)
def test_a_lock_that_names_anything_but_the_registry_with_a_checksum_is_refused(text: str) -> None:
    with pytest.raises(LintRefused):
        resolve(with_lock(text))


@pytest.mark.parametrize(
    "line",
    [
        'dep = { git = "https://code.example.org/dep" }',
        'dep = { path = "../outside" }',
        'dep = { version = "1", registry = "other" }',
    ],
)
def test_a_manifest_that_leads_elsewhere_is_refused(line: str) -> None:
    with pytest.raises(LintRefused):
        resolve(view(f"{PACKAGE}[dependencies]\n{line}\n"))


def test_a_vendored_project_is_resolved_without_any_network() -> None:
    configuration = '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "vendor"\n'
    files = {"Cargo.toml": PACKAGE, "src/main.rs": "", ".cargo/config.toml": configuration}
    plan = resolve(MemoryView(files))
    assert [(step.trust, step.net) for step in plan.steps] == [(Trust.PROJECT, Net.NONE)]


@pytest.mark.parametrize(
    "text", ['[toolchain]\npath = "./own"\n', '[toolchain]\nchannel = "1.80"\n', "nightly"]
)
def test_another_toolchain_is_a_typed_error(text: str) -> None:
    files = {"Cargo.toml": PACKAGE, "src/main.rs": "", "rust-toolchain": text}
    with pytest.raises(CannotPlan):
        resolve(MemoryView(files))


def test_channels_mean_what_rustup_means_by_them() -> None:
    assert is_channel("stable", "1.95.0")
    assert is_channel("1.95", "1.95.0")
    assert is_channel("nightly-2026-01-01", "1.97.0-nightly")
    assert not is_channel("1.9", "1.95.0")
    assert not is_channel("stable", "1.97.0-nightly")


def test_builds_are_frozen_and_their_programs_are_committed_executable() -> None:
    plan = RustProvider().build(with_lock(lock()), CHECKED)
    check_plan(plan)
    (step,) = plan.steps
    assert (step.trust, step.net) == (Trust.PROJECT, Net.NONE)
    assert "--frozen" in step.argv
    (output,) = step.outputs
    assert (output.commit_to, output.executable) == ("target/release/app", True)


def test_the_registry_is_learned_from_what_cargo_asks_for() -> None:
    provider, facts = RustProvider(), replace(FACTS, registry=None)
    described = f'{{"packages": [{{"dependencies": [{{"source": "{SOURCE}"}}]}}]}}'.encode()
    said = b"replaced source registry\nfailed to download from `https://m.example.org:8443/i/config.json`"
    for answer in (
        Answer(output=described),
        Answer(output=b"", errors=said, asked=("m.example.org",)),
        Answer(output=b"", asked=("files.example.org:443",)),
    ):
        plan = provider.discovery(facts)
        assert plan is not None
        check_plan(plan)
        facts = replace(facts, registry=provider.read_discovery(answer, facts))
    assert provider.discovery(facts) is None
    assert facts.registry is not None
    assert "https://files.example.org:443/" in facts.registry.urls
    assert facts.registry.settings["index"] == "sparse+https://m.example.org:8443/i/"


def test_only_what_was_compared_with_the_lock_is_built_from() -> None:
    for text, facts in (
        (lock(), FACTS),
        (lock(checksum="cd" * 32), CHECKED),
        (lock(), replace(CHECKED, registry=replace(REGISTRY, settings={"index": "other"}))),
        (lock(), replace(CHECKED, registry=None)),
    ):
        with pytest.raises(CannotPlan):
            RustProvider().build(with_lock(text), facts)


def test_what_another_platform_needs_is_compared_when_it_is_fetched() -> None:
    files = {"Cargo.toml": PACKAGE, "src/main.rs": "", "Cargo.lock": lock()}
    for target in ("'a-b-c'", "['a-b-c']", "['a-b-c', 'd-e-f']"):
        configuration = {".cargo/config.toml": f"[build]\ntarget = {target}\n"}
        with pytest.raises(CannotPlan):
            RustProvider().build(MemoryView(files | configuration), CHECKED)
    RustProvider().build(MemoryView(files), CHECKED)


def test_a_manifest_that_changed_is_fetched_for_again() -> None:
    first = resolve(with_lock(lock()))
    known = replace(FACTS, fetched=frozenset({first.steps[0].skip_key}))
    edited = f'{PACKAGE}[dependencies]\ndep = "2"\n'
    files = {"Cargo.toml": edited, "src/main.rs": "fn main() {}", "Cargo.lock": lock()}
    plan = resolve(MemoryView(files), known)
    assert [step.id for step in plan.steps] == ["fetch", "lock-anew"]
    assert plan.again
    (lock_anew,) = (step for step in plan.steps if step.id == "lock-anew")
    assert all(not output.digests and not output.checked_key for output in lock_anew.outputs)


def test_only_packages_that_a_lock_names_are_kept_and_sources_never() -> None:
    provider = RustProvider()
    (output,) = provider.resolve_dependencies(with_lock(lock()), FACTS).steps[0].outputs
    digests = output.digests
    kept = provider.cached("cargo", "registry/cache/i-0/dep-1.0.0.crate", digests)
    assert provider.cached("cargo", "registry/cache/i-0/dep-1.0.0.crate", {}) is None
    assert kept is not None
    assert (kept.algorithm, kept.digest) == ("sha256", SUM)
    for path in (
        "registry/cache/i-0/other-1.0.0.crate",
        "registry/src/i-0/dep-1.0.0/build.rs",
        "config.toml",
        "bin/cargo",
    ):
        assert provider.cached("cargo", path, digests) is None


def test_templates_refuse_names_that_cargo_would() -> None:
    for name in ("Fn", "fn", "1up", "deps", "a/b"):
        with pytest.raises(ClocheError):
            RustProvider().scaffold("rust-bin", name)


def test_without_network_versions_and_packages_are_those_of_the_cache() -> None:
    offline = replace(FACTS, offline=True)
    (made,) = resolve(view(), offline).steps
    assert (made.net, made.argv[-1]) == (Net.NONE, "--offline")
    (looked,) = resolve(with_lock(lock()), offline).steps
    assert looked.net is Net.NONE
    assert {"--offline", "--locked"} <= set(looked.argv)
    assert not looked.outputs


def test_a_program_is_previewed_without_a_port_and_without_a_network() -> None:
    project = MemoryView({"Cargo.toml": PACKAGE, "src/main.rs": "", "Cargo.lock": OWN})
    plan = RustProvider().preview(project, FACTS)
    check_plan(plan)
    compiled, run = plan.steps
    assert compiled.parser == "cargo"
    assert (run.probe, run.net) == (None, Net.NONE)
    assert "--bin=app" in run.argv


def test_of_several_programs_the_one_that_cargo_would_run_is_previewed() -> None:
    files = {"src/main.rs": "", "src/bin/other.rs": "", "Cargo.lock": OWN}
    with pytest.raises(CannotPlan, match="more than one program: app, other"):
        RustProvider().preview(MemoryView({"Cargo.toml": PACKAGE, **files}), FACTS)
    chosen = MemoryView({"Cargo.toml": f'{PACKAGE}default-run = "other"\n', **files})
    assert "--bin=other" in RustProvider().preview(chosen, FACTS).steps[-1].argv


@pytest.mark.parametrize("verb", ["resolve", "build"])
def test_a_project_that_has_all_it_needs_asks_no_registry(verb: str) -> None:
    alone = MemoryView({"Cargo.toml": PACKAGE, "src/main.rs": "", "Cargo.lock": OWN})
    vendored = MemoryView(
        {
            "Cargo.toml": f'{PACKAGE}[dependencies]\ndep = "1"\n',
            ".cargo/config.toml": '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "vendor"\n',
        }
    )
    facts = replace(FACTS, registry=None)
    for project in (alone, vendored):
        assert not RustProvider().asks_registry(verb, project, facts)
        assert all(
            s.net is Net.NONE for s in RustProvider().resolve_dependencies(project, facts).steps
        )
    assert RustProvider().asks_registry(verb, view(), facts)
