"""Every hostile project of tests/fixtures/npm, fetched by real npm with exactly the argv we plan.

The steps run here without a jar, so that nothing but the plan itself keeps the
project's code from running; each control shows that npm would have run it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance.npm_double import REGISTRY, Double

from cloche.errors import ClocheError
from cloche.kernel.errors import NoToolchain
from cloche.kernel.invariants import check_plan
from cloche.kernel.toolchains import find_toolchains
from cloche.kernel.view import DirectoryView
from cloche.model.step import Net, Plan, Source, Step, Trust
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.provider import HostFacts, RegistryFacts
from cloche.runtimes.toolchain import Toolchain

FIXTURES = Path(__file__).parents[1] / "fixtures/npm"
REFUSED = {
    "npmrc-git", "git-dependency", "overrides-git", "workspace-outside", "file-outside",
    "file-archive", "address-dependency", "lock-evil-address", "lock-git",
    "lock-without-integrity", "lock-link-outside", "lock-climbs", "lock-version-1",
}  # fmt: skip
FETCHED = {
    "npmrc-programs", "npmrc-registry-secret", "npmrc-scope-registry", "npmrc-files",
    "root-scripts", "install-script", "implicit-gyp", "command-clobbering", "other-managers",
}  # fmt: skip


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Toolchain]:
    memory = tmp_path_factory.mktemp("tools") / "digests.json"
    try:
        return find_toolchains(NodeProvider.toolchains, os.environ, memory)
    except NoToolchain as missing:
        pytest.skip(f"no npm to fetch with: {missing}")


@pytest.fixture
def registry() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / request.param, tmp_path / "project"))


def facts_of(tools: dict[str, Toolchain]) -> HostFacts:
    return HostFacts(toolchains=tools, registry=RegistryFacts(urls=(f"http://{REGISTRY}/",)))


def run_tool_step(
    step: Step, plan: Plan, project: Path, registry: Double, tools: dict[str, Toolchain]
) -> Path:
    """Run a fetch step over its projection in a plain directory; give that directory."""
    place = project.parent / f"p-{step.id}"
    for projection in plan.projections:
        for name, content in projection.files.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    (home / ".npmrc").write_text(f"registry=http://{REGISTRY}/\n")
    argv = [
        word.replace("@node", tools["node"].host_root, 1)
        if word.startswith("@node/")
        else word.replace("@npm", tools["npm"].host_root, 1)
        if word.startswith("@npm/")
        else word.replace("http://127.0.0.1:3128", registry.address).replace(
            "/cache/npm", str(project.parent / "cache")
        )
        for word in step.argv
    ]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "SECRET": "open-sesame"}
    done = subprocess.run(
        argv, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return place


def fetch(project: Path, registry: Double, tools: dict[str, Toolchain]) -> list[Path]:
    """Follow the plans of `resolve` through every TOOL step; give where each ran."""
    provider, facts, places = NodeProvider(), facts_of(tools), []
    for _ in range(3):
        plan = provider.resolve_dependencies(DirectoryView(project), facts)
        check_plan(plan)
        stand_ins = {step.fallback for step in plan.steps}
        for step in plan.steps:
            if step.trust is not Trust.TOOL or step.id in stand_ins:
                continue
            places.append(run_tool_step(step, plan, project, registry, tools))
            for output in step.outputs:
                if output.linter:
                    content = (places[-1] / output.path.removeprefix("/p/")).read_bytes()
                    provider.lint(output.linter, content, facts)
                    (project / output.commit_to).write_bytes(content)
        if not plan.again:
            return places
    raise AssertionError("the plan never ends")


def markers(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("marker")]


def test_every_fixture_has_an_expectation() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == REFUSED | FETCHED


@pytest.mark.parametrize("project", sorted(REFUSED), indirect=True)
def test_it_is_refused_before_anything_is_planned(
    project: Path, tools: dict[str, Toolchain]
) -> None:
    with pytest.raises(ClocheError) as refusal:
        NodeProvider().resolve_dependencies(DirectoryView(project), facts_of(tools))
    assert refusal.value.code in {"lint-refused", "cannot-plan", "lock-too-old"}


@pytest.mark.parametrize("project", sorted(FETCHED), indirect=True)
def test_it_is_fetched_and_nothing_of_it_runs(
    project: Path, registry: Double, tools: dict[str, Toolchain]
) -> None:
    places = fetch(project, registry, tools)
    assert len(places) == 2  # lock, then fetch
    assert (places[-1] / "node_modules").is_dir()
    assert markers(project.parent) == []
    assert registry.hosts() == {REGISTRY}
    assert not any("open-sesame" in address for address in registry.asked)


def run_plain_npm(
    project: Path, registry: Double, tools: dict[str, Toolchain], *words: str
) -> None:
    """Do what everybody does: npm in the project itself."""
    argv = [f"{tools['node'].host_root}/bin/node", f"{tools['npm'].host_root}/bin/npm-cli.js"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(project.parent), "SECRET": "open-sesame"}
    subprocess.run(
        [*argv, *words, f"--cache={project.parent}/cache", "--no-audit", "--fetch-retries=0",
         f"--proxy={registry.address}", f"--https-proxy={registry.address}", "--noproxy="],
        cwd=project, env=environment, capture_output=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("project", ["npmrc-git"], indirect=True)
def test_control_plain_npm_runs_the_program_that_npmrc_names(
    project: Path, registry: Double, tools: dict[str, Toolchain]
) -> None:
    run_plain_npm(project, registry, tools, "install", "--ignore-scripts")
    assert markers(project) != []


@pytest.mark.parametrize("project", ["npmrc-registry-secret"], indirect=True)
def test_control_plain_npm_sends_the_secret_where_npmrc_says(
    project: Path, registry: Double, tools: dict[str, Toolchain]
) -> None:
    run_plain_npm(project, registry, tools, "install", "--ignore-scripts")
    assert any("open-sesame" in address for address in registry.asked)


@pytest.mark.parametrize("project", ["npmrc-scope-registry"], indirect=True)
def test_control_plain_npm_follows_a_scope_in_spite_of_the_command_line(
    project: Path, registry: Double, tools: dict[str, Toolchain]
) -> None:
    run_plain_npm(
        project, registry, tools, "install", "--ignore-scripts", f"--registry=http://{REGISTRY}/"
    )
    assert "evil.example.org" in registry.hosts()


@pytest.mark.parametrize("project", ["root-scripts"], indirect=True)
def test_control_plain_npm_runs_the_roots_scripts(
    project: Path, registry: Double, tools: dict[str, Toolchain]
) -> None:
    run_plain_npm(project, registry, tools, "install", f"--registry=http://{REGISTRY}/")
    assert markers(project) != []


@pytest.mark.parametrize("project", ["install-script"], indirect=True)
def test_install_scripts_of_dependencies_become_a_step_without_network(
    project: Path, registry: Double, tools: dict[str, Toolchain]
) -> None:
    fetch(project, registry, tools)
    plan = NodeProvider().resolve_dependencies(DirectoryView(project), facts_of(tools))
    scripts = next(step for step in plan.steps if step.id == "install-scripts")
    assert (scripts.trust, scripts.net) == (Trust.PROJECT, Net.NONE)
    assert scripts.argv[-1] == "scripted"


@pytest.mark.parametrize("project", ["root-scripts"], indirect=True)
def test_what_was_fetched_once_is_laid_out_again_without_any_request(
    project: Path, registry: Double, tools: dict[str, Toolchain]
) -> None:
    fetch(project, registry, tools)
    facts = facts_of(tools)
    provider = NodeProvider()
    first = provider.resolve_dependencies(DirectoryView(project), facts)
    keys = frozenset(step.skip_key for step in first.steps if step.skip_key)
    plan = provider.resolve_dependencies(DirectoryView(project), replace(facts, fetched=keys))
    step = plan.steps[0]
    assert not any(mount.source is Source.PROJECT for mount in step.mounts)
    registry.asked.clear()
    place = run_tool_step(step, plan, project, registry, tools)
    assert (place / "node_modules/plain/package.json").is_file()
    assert registry.asked == []
    assert markers(project.parent) == []
