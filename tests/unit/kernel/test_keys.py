"""Keys of steps: another input is another key, and the same inputs are the same key in another process."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cloche.kernel import keys
from cloche.kernel.keys import Keys
from cloche.kernel.registry import Registry
from cloche.model.ids import StepId
from cloche.model.step import Mount, Net, Plan, Projection, Source, Step, Trust
from cloche.runtimes.provider import RegistryFacts
from cloche.runtimes.toolchain import Toolchain, UserConfig
from cloche.sandbox.features import Tier

STEP = Step(
    id=StepId("build"),
    title="Build",
    argv=("@node/bin/node", "build.js"),
    trust=Trust.PROJECT,
    env={"A": "1"},
    mounts=(Mount(target="/project", source=Source.PROJECT),),
)
FETCH = Step(
    id=StepId("fetch"),
    title="Fetch",
    argv=("@npm/npm", "ci"),
    trust=Trust.TOOL,
    net=Net.REGISTRY,
    registry="npm",
    mounts=(
        Mount(target="/p", source=Source.PROJECTION, ref="files"),
        Mount(target="/home/user", source=Source.USER_CONFIG),
    ),
)
PLAN = Plan(
    verb="resolve",
    steps=(STEP, FETCH),
    projections=(
        Projection(ref="files", files={"package.json": b"{}"}),
        Projection(ref="other", files={}),
    ),
)
NODE = Toolchain(
    name="node", host_root="/opt/node", inside="/toolchain/node", version="24.1.0", digest="ab"
)


class Run:
    """What Keys asks of a session."""

    def __init__(self, home: Path) -> None:
        self.policy = SimpleNamespace(digest="p1")
        self.provider = SimpleNamespace(
            user_config=UserConfig(home_files=(".npmrc",), variable_prefixes=("npm_config_",))
        )
        self.machine = SimpleNamespace(
            features=SimpleNamespace(tier=Tier.NAMESPACES),
            toolchains={"node": NODE},
            environment={"HOME": str(home), "npm_config_registry": "https://example.org/"},
        )
        self.epoch = 0
        facts = RegistryFacts(urls=("https://example.org/",))
        self.registry = Registry(facts=facts, hosts=(), upstream=None)
        self.context = SimpleNamespace(hosts=())
        self.transaction = SimpleNamespace(
            prefix="", digest_base=lambda hidden: f"base {sorted(hidden)}"
        )
        self.secrets = (".env",)

    def hidden(self) -> tuple[str, ...]:
        return self.secrets

    def registry_facts(self) -> RegistryFacts:
        return self.registry.facts

    def key(self, step: Step, plan: Plan = PLAN) -> str:
        run: Any = self
        return Keys(run).of(step, plan)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / ".npmrc").write_text("a=b\n")
    return Run(tmp_path)


def _user_file(run: Run) -> None:
    home = Path(run.machine.environment["HOME"])
    (home / ".npmrc").write_text("a=other\n")


OF_EVERY_STEP: dict[str, Callable[[Run], object]] = {
    "the part": lambda run: setattr(run.transaction, "prefix", "web"),
    "policy": lambda run: setattr(run.policy, "digest", "p2"),
    "program of the tool": lambda run: run.machine.toolchains.update(
        node=replace(NODE, digest="cd")
    ),
    "version of the tool": lambda run: run.machine.toolchains.update(
        node=replace(NODE, version="24.2.0")
    ),
    "another tool": lambda run: run.machine.toolchains.update(npm=NODE),
    "containment": lambda run: setattr(run.machine.features, "tier", Tier.LANDLOCK),
}
OF_PROJECT_STEPS: dict[str, Callable[[Run], object]] = {
    "the project": lambda run: setattr(run.transaction, "digest_base", lambda _: "other"),
    "what is hidden": lambda run: setattr(run, "secrets", (".env", "key.pem")),
}
OF_FETCHES: dict[str, Callable[[Run], object]] = {
    "a variable of the user's": lambda run: run.machine.environment.update(npm_config_registry="x"),
    "a file of the user's": _user_file,
    "the registry": lambda run: setattr(
        run, "registry", replace(run.registry, facts=RegistryFacts(urls=("https://example.com/",)))
    ),
}


@pytest.mark.parametrize(
    ("step", "change"),
    [
        *((step, change) for step in (STEP, FETCH) for change in OF_EVERY_STEP.values()),
        *((STEP, change) for change in OF_PROJECT_STEPS.values()),
        *((FETCH, change) for change in OF_FETCHES.values()),
    ],
)
def test_another_input_is_another_key(
    run: Run, step: Step, change: Callable[[Run], object]
) -> None:
    before = run.key(step)
    assert run.key(step) == before
    change(run)
    assert run.key(step) != before


def test_another_program_of_the_system_is_another_key(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script may start a compiler that is no tool of ours."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "cc").write_text("1")
    monkeypatch.setattr(keys, "_SYSTEM", (str(programs),))
    before = run.key(STEP)
    assert run.key(STEP) == before
    (programs / "cc.new").write_text("2")
    (programs / "cc.new").rename(programs / "cc")
    assert run.key(STEP) != before


def test_what_a_step_does_not_see_is_no_input_of_it(run: Run) -> None:
    build, fetch = run.key(STEP), run.key(FETCH)
    for change in OF_PROJECT_STEPS.values():
        change(run)
    assert run.key(FETCH) == fetch
    run.transaction.digest_base = lambda hidden: f"base {sorted(hidden)}"
    run.secrets = (".env",)
    for change in OF_FETCHES.values():
        change(run)
    assert run.key(STEP) == build


def test_a_projection_counts_for_the_steps_that_mount_it(run: Run) -> None:
    files, other = PLAN.projections
    changed = replace(files, files={"package.json": b"{ }"})
    assert run.key(FETCH, replace(PLAN, projections=(changed, other))) != run.key(FETCH)
    changed = replace(other, files={"more": b""})
    assert run.key(FETCH, replace(PLAN, projections=(files, changed))) == run.key(FETCH)


@pytest.mark.parametrize(
    "step",
    [
        replace(STEP, argv=("@node/bin/node", "build.js", "")),
        replace(STEP, argv=("@node/bin/node build.js",)),
        replace(STEP, env={"A": "2"}),
        replace(STEP, env={}),
        replace(STEP, net=Net.INBOUND),
        replace(STEP, trust=Trust.TOOL),
        replace(STEP, cwd="/project/sub"),
    ],
)
def test_another_deed_is_another_key(run: Run, step: Step) -> None:
    assert run.key(step) != run.key(STEP)


def test_a_project_that_cannot_be_looked_through_is_never_the_same(run: Run) -> None:
    def refuse(_hidden: frozenset[str]) -> str:
        raise OSError(5, "input/output error")

    run.transaction.digest_base = refuse
    assert run.key(STEP) != run.key(STEP)
