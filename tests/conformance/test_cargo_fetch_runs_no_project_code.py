"""Every way in which a project's files make cargo execute something, fetched with exactly what we plan.

Each project is fetched twice: by its steps without a jar, so that nothing but the plan itself keeps
the project's code from running, and by `cloche resolve`, where a program that ran would be seen by
what it leaves in the shared cache and asks of the registry. The controls show that cargo in the
project runs it.
"""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance.cargo_double import CALLED, Double, User, crate, find_cargo, plain
from tests.conformance.cargo_hostile import (
    APP,
    EVIL,
    FETCHED,
    HEAD,
    MACRO,
    MAIN,
    REFUSED,
    RUNS,
    SCRIPT,
    Hostile,
)

from cloche.kernel.invariants import check_plan
from cloche.kernel.kernel import Kernel
from cloche.kernel.view import DirectoryView
from cloche.model.step import Mount, Net, Output, Plan, Source, Step, Trust
from cloche.platforms.select import select_platform
from cloche.policy.load import load_default
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import Answer, HostFacts, RegistryFacts
from cloche.runtimes.rust.provider import RustProvider
from cloche.runtimes.rust.vocabulary import CACHE
from cloche.runtimes.rust.vocabulary import FETCHED as FETCHING_HOME
from cloche.runtimes.toolchain import Toolchain
from cloche.sandbox.errors import CannotConfine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    return find_cargo(tmp_path_factory.mktemp("tools") / "digests.json")


@pytest.fixture
def registry() -> Iterator[Double]:
    with Double({name: plain(name) for name in ("cfg-if", "honest")}) as double:
        yield double


@pytest.fixture
def user(tmp_path: Path, registry: Double, tool: Toolchain) -> User:
    return User(tmp_path, registry, tool)


class Scene:
    """One project, written where its texts say that it is."""

    def __init__(self, hostile: Hostile, user: User, registry: Double) -> None:
        self.hostile, self.user, self.registry = hostile, user, registry
        self.root = user.place / hostile.at
        self.marker = user.place / "marker"
        head = '[package]\nname = "{}"\nversion = "1.0.0"\n{}'
        script, macro = self.filled(SCRIPT), self.filled(f"{{ {RUNS} }}")
        registry.crates["scripted"] = crate(
            "scripted", "1.0.0",
            (("Cargo.toml", head.format("scripted", "")), ("src/lib.rs", ""), ("build.rs", script)),
        )  # fmt: skip
        registry.crates["macros"] = crate(
            "macros", "1.0.0",
            (
                ("Cargo.toml", head.format("macros", "[lib]\nproc-macro = true\n")),
                ("src/lib.rs", MACRO.replace("RUNS", macro)),
            ),
        )  # fmt: skip
        for path, text in {"evil": "EVIL", **hostile.files}.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                target.symlink_to(text[3:])
                continue
            target.write_text(self.filled(EVIL if text == "EVIL" else text))
            if text == "EVIL":
                target.chmod(0o755)
        if hostile.token:
            registry.token = hostile.token
            user.configuration += (
                f'[registries.double]\nindex = "sparse+{registry.url}/index/"\n'
                '[registry]\nglobal-credential-providers = ["cargo:token"]\n'
            )
            user.credentials = f'[registries.double]\ntoken = "{hostile.token}"\n'
        user.environment |= {k: self.filled(v) for k, v in hostile.variables.items()}

    def filled(self, text: str) -> str:
        words = {
            "MARKER": str(self.marker),
            "ROOT": str(self.root),
            "PORT": str(self.registry.port),
            "RUST": self.user.tool.host_root,
            "URL": f"{self.registry.url}{CALLED}",
            "HOME": self.user.configuration,
        }
        # In that order: no text that is put in holds one of the words, and RUSTC is none of ours.
        for word in ("MARKER", "ROOT", "PORT", "URL"):
            text = text.replace(word, words[word])
        return text.replace("RUST/", f"{words['RUST']}/").replace("\nHOME", f"\n{words['HOME']}")

    def assert_nothing_ran(self) -> None:
        assert not self.marker.exists()
        assert not list(self.user.place.rglob("marker-0"))
        assert CALLED not in self.registry.asked


def run_tool_step(step: Step, plan: Plan, scene: Scene) -> bytes:
    """Run a step over its projection in a plain directory; give what it printed."""
    place = scene.user.place / f"p-{step.id}"
    home = scene.user.place / "inside"
    (home / ".cargo").mkdir(parents=True, exist_ok=True)

    def moved(text: str) -> str:
        text = text.replace("/p/", f"{place}/").replace("@rust", scene.user.tool.host_root)
        return text.replace("/home/user", str(home))

    for projection in plan.projections:
        for name, content in projection.files.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    # The kernel gives the step the user's configuration, and variables of nobody.
    scene.user.write_configuration(home / ".cargo")
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    variables |= {key: moved(value) for key, value in step.env.items()}
    del variables["CARGO_HTTP_PROXY"]
    done = subprocess.run(
        [moved(word) for word in step.argv],
        cwd=moved(step.cwd), env=variables, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    for output in step.outputs:
        if output.linter:
            (scene.root / output.commit_to).write_bytes(Path(moved(output.path)).read_bytes())
    return done.stdout


def fetch(scene: Scene) -> list[str]:
    """Follow `resolve` through every step, without a jar; give the steps' names."""
    provider, facts = RustProvider(), HostFacts(toolchains={"rust": scene.user.tool})
    question = provider.discovery(facts)
    assert question is not None
    output = run_tool_step(question.steps[0], question, scene)
    known = provider.read_discovery(Answer(output=output), facts)
    index = f"sparse+{scene.registry.url}/index/"
    learned = RegistryFacts(urls=(index,), settings={**known.settings, "index": index})
    facts = replace(facts, registry=learned)
    names = []
    for _ in range(2):
        plan = provider.resolve_dependencies(DirectoryView(scene.root), facts)
        check_plan(plan)
        stand_ins = {step.fallback for step in plan.steps}
        for step in plan.steps:
            assert step.trust is Trust.TOOL
            if step.id not in stand_ins:
                run_tool_step(step, plan, scene)
                names.append(str(step.id))
    return names


@pytest.mark.parametrize("name", sorted(FETCHED))
def test_its_steps_run_nothing_of_it_even_without_a_jar(
    name: str, user: User, registry: Double
) -> None:
    scene = Scene(FETCHED[name], user, registry)
    assert fetch(scene) == ["lock", "fetch"]
    assert set(registry.downloads()) <= {"honest", "scripted", "macros"}
    assert registry.downloads()
    scene.assert_nothing_ran()


@pytest.mark.parametrize("name", sorted(FETCHED))
def test_it_is_resolved_and_nothing_of_it_runs(name: str, user: User, registry: Double) -> None:
    scene = Scene(FETCHED[name], user, registry)
    ended = user.cloche("resolve", scene.root)
    assert ended.status == 0, ended.text
    assert (scene.root / "Cargo.lock").is_file()
    assert list(user.cache.glob("registry/cache/*/*.crate"))
    assert "EXECUTED" not in ended.text
    scene.assert_nothing_ran()


@pytest.mark.parametrize("name", sorted(name for name in FETCHED if FETCHED[name].command))
def test_control_bare_cargo_runs_it(name: str, user: User, registry: Double) -> None:
    scene = Scene(FETCHED[name], user, registry)
    said = user.cargo(scene.root, *FETCHED[name].command)
    assert scene.marker.exists(), said


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_it_is_refused_before_anything_is_planned(name: str, user: User, registry: Double) -> None:
    code, files = REFUSED[name]
    scene = Scene(Hostile(files={"Cargo.toml": APP, "src/main.rs": MAIN, **files}), user, registry)
    ended = user.cloche("resolve", scene.root)
    assert ended.code == code, ended.text
    assert not (scene.root / "Cargo.lock").exists()
    assert registry.downloads() == []
    scene.assert_nothing_ran()


def test_control_a_toolchain_by_path_is_run_by_the_proxy_of_rustup(
    user: User, registry: Double
) -> None:
    proxy = find_proxy(user.tool)
    own = {f"own/bin/{name}": "EVIL" for name in ("cargo", "rustc")}
    toolchain = {"rust-toolchain.toml": "[toolchain]\npath = 'ROOT/own'\n", "own/lib/x": ""}
    scene = Scene(
        Hostile(files={"Cargo.toml": APP, "src/main.rs": MAIN, **own, **toolchain}), user, registry
    )
    said = user.cargo(scene.root, "fetch", program=proxy)
    assert scene.marker.exists(), said


def find_proxy(tool: Toolchain) -> str:
    """Give the cargo of rustup in PATH; skip where there is none."""
    found = shutil.which("cargo") or ""
    if not found or Path(found).resolve().is_relative_to(tool.host_root):
        pytest.skip("no rustup: the cargo in PATH is no proxy of it")
    return found


@pytest.mark.parametrize("name", ["another registry in its place", "a proxy"])
def test_control_bare_cargo_asks_whom_the_project_names(
    name: str, user: User, registry: Double
) -> None:
    files = REFUSED[name][1] if name in REFUSED else FETCHED[name].files
    scene = Scene(Hostile(files={"Cargo.toml": APP, "src/main.rs": MAIN, **files}), user, registry)
    if name in REFUSED:
        user.configuration = ""
    said = user.cargo(scene.root, "fetch")
    assert any(path.startswith((CALLED, "http://")) for path in registry.asked), said


class Careless(RustProvider):
    """Lets cargo look for configuration in the project, and sees to it that a wrapper counts."""

    def resolve_dependencies(self, view: ProjectView, facts: HostFacts) -> Plan:
        plan = super().resolve_dependencies(view, facts)
        kept = {k: v for k, v in plan.steps[0].env.items() if not k.startswith("RUSTC")}
        project = Mount(target="/project", source=Source.PROJECT)
        step = replace(
            plan.steps[0],
            argv=("@rust/bin/cargo", "fetch", "--offline"),
            cwd="/project",
            net=Net.NONE,
            env=kept,
            mounts=(*plan.steps[0].mounts, project),
            outputs=(Output(path=FETCHING_HOME, promote=CACHE),),
        )
        return replace(plan, steps=(step,), again=False)


def test_control_what_runs_in_a_jar_is_seen(user: User, registry: Double, tmp_path: Path) -> None:
    files = {**FETCHED["build.rustc-wrapper"].files, "Cargo.toml": HEAD}
    scene = Scene(Hostile(files=files), user, registry)
    environment = user.variables()

    async def resolve() -> None:
        kernel = Kernel(
            platform=select_platform(),
            providers=(Careless(),),
            policy=load_default(),
            state_home=tmp_path / "state",
            cache_home=user.home / ".cache/cloche",
            queue_home=tmp_path / "queue",
            budget_bytes=None,
            environment=environment,
        )
        try:
            project = await kernel.project(scene.root)
            await project.resolve()
        finally:
            await kernel.close()

    try:
        asyncio.run(resolve())
    except CannotConfine as refusal:
        pytest.skip(f"this machine confines nothing: {refusal}")
    assert list(user.cache.rglob("marker-0"))
