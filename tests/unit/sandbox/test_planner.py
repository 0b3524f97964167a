"""The planner is pure: the same grant and surroundings give the same plan, or a refusal."""

from dataclasses import replace

import pytest

from cloche.model.grant import Grant
from cloche.model.ids import StepId
from cloche.model.limits import LIMIT_CLASSES
from cloche.model.step import Net, Step, Trust
from cloche.model.tier import Tier
from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.features import Feature, Features, Finding, Need, Support
from cloche.sandbox.layout import HostSystem
from cloche.sandbox.mounts import BindReadOnly, Masked, Overlay
from cloche.sandbox.planner import ALWAYS_REQUIRED, Surroundings, Tool, plan_sandbox

EVERYTHING = Features(
    tuple(Finding(feature=f, support=Support.FULL, why="told so") for f in Feature)
)
HOST = HostSystem(links=(("/bin", "usr/bin"),), directories=(), masks=("/usr/etc",))
STEP = Step(
    id=StepId("build"),
    title="Build",
    argv=("@node/bin/node", "@npm/bin/npm-cli.js", "run", "build"),
    trust=Trust.PROJECT,
    env={"npm_config_nodedir": "@node", "PLAIN": "x"},
)
GRANT = Grant(step=STEP, limits=LIMIT_CLASSES["build"])
OVERLAY = Overlay(lowers=("/home/u/app",), upper="/s/up", work="/s/wk", target="/project")
AROUND = Surroundings(
    places=(OVERLAY,),
    tools=(
        Tool(name="node", host_root="/usr", inside="/usr"),
        Tool(name="npm", host_root="/home/u/npm", inside="/toolchain/npm"),
    ),
    host=HOST,
    features=EVERYTHING,
    epoch=315532800,
    environment={},
)


def test_references_become_places_inside() -> None:
    plan = plan_sandbox(GRANT, AROUND)
    assert plan.argv == ("/usr/bin/node", "/toolchain/npm/bin/npm-cli.js", "run", "build")
    assert plan.env["npm_config_nodedir"] == "/usr"


def test_a_tool_of_the_system_is_not_mounted_twice() -> None:
    plan = plan_sandbox(GRANT, AROUND)
    assert sum(getattr(op, "source", "") == "/usr" for op in plan.mounts) == 1
    npm = next(op for op in plan.mounts if op.target == "/toolchain/npm")
    assert isinstance(npm, BindReadOnly)
    assert npm.of_user


def test_only_the_project_home_and_tmp_are_writable() -> None:
    plan = plan_sandbox(GRANT, AROUND)
    assert set(plan.writable) == {"/project", "/tmp", "/home/user"}


def test_the_hosts_environment_is_not_there() -> None:
    plan = plan_sandbox(GRANT, AROUND)
    assert plan.env["HOME"] == "/home/user"
    assert "SSH_AUTH_SOCK" not in plan.env
    assert "/project" not in plan.env["PATH"]


def test_trust_roots_and_credentials_are_for_fetch_steps_alone() -> None:
    project = plan_sandbox(GRANT, AROUND)
    assert Masked(target="/usr/etc") in project.mounts
    assert not any(op.target == "/etc/ssl/certs" for op in project.mounts)
    fetch = replace(STEP, trust=Trust.TOOL, net=Net.REGISTRY, cwd="/p")
    fetching = plan_sandbox(replace(GRANT, step=fetch), AROUND)
    assert Masked(target="/usr/etc") not in fetching.mounts
    assert any(op.target == "/etc/ssl/certs" for op in fetching.mounts)


def test_hidden_files_are_masked_after_everything_else() -> None:
    plan = plan_sandbox(replace(GRANT, hidden=(".env",)), AROUND)
    assert plan.mounts[-2:] == (Masked(target="/project/.env"), Masked(target="/usr/etc"))


@pytest.mark.parametrize(
    ("tier", "feature"),
    [(tier, feature) for tier, needed in ALWAYS_REQUIRED.items() for feature in needed],
)
def test_without_a_required_barrier_there_is_no_plan(tier: Tier, feature: Feature) -> None:
    poorer = Features(
        tuple(
            replace(f, support=Support.NONE, why="refused") if f.feature is feature else f
            for f in EVERYTHING.findings
        ),
        tier,
    )
    with pytest.raises(CannotConfine) as caught:
        plan_sandbox(GRANT, replace(AROUND, features=poorer))
    assert caught.value.feature == feature.value


def test_a_barrier_nobody_probed_is_not_there() -> None:
    with pytest.raises(CannotConfine):
        plan_sandbox(GRANT, replace(AROUND, features=Features(())))


@pytest.mark.parametrize("net", [Net.INBOUND, Net.HOSTS])
def test_without_a_network_namespace_nothing_serves_and_nobody_reaches_named_hosts(
    net: Net,
) -> None:
    poorer = replace(AROUND, features=replace(EVERYTHING, tier=Tier.LANDLOCK))
    assert plan_sandbox(GRANT, poorer).tier is Tier.LANDLOCK
    with pytest.raises(CannotConfine):
        plan_sandbox(replace(GRANT, step=replace(STEP, net=net)), poorer)


def test_a_heap_fits_into_the_memory_that_was_granted() -> None:
    step = replace(STEP, env={"NODE_OPTIONS": "--max-old-space-size=@heap", "OTHER": "@unknown"})
    limits = replace(GRANT.limits, memory_bytes=400 << 20)
    plan = plan_sandbox(replace(GRANT, step=step, limits=limits), AROUND)
    assert plan.env["NODE_OPTIONS"] == "--max-old-space-size=300"
    assert plan.env["OTHER"] == "@unknown"


def test_a_policy_can_require_more() -> None:
    plan = plan_sandbox(replace(GRANT, required=("memory-limit",)), AROUND)
    assert plan.needs[Feature.MEMORY_LIMIT] is Need.REQUIRED
    assert plan.needs[Feature.LANDLOCK] is Need.WANTED


def test_parents_are_mounted_before_children() -> None:
    plan = plan_sandbox(GRANT, AROUND)
    targets = [op.target for op in plan.mounts if not isinstance(op, Masked)]
    for place, target in enumerate(targets):
        assert not any(earlier.startswith(f"{target}/") for earlier in targets[:place])
