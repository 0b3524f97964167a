"""No plan may break I1-I8: each rule has a plan that breaks it alone."""

from dataclasses import replace

import pytest

from cloche.kernel.errors import InvariantBroken
from cloche.kernel.invariants import check_plan
from cloche.model.ids import StepId
from cloche.model.step import Access, Mount, Net, Output, Plan, Projection, Source, Step, Trust

FETCH = Step(
    id=StepId("fetch"),
    title="Download",
    argv=("@node/bin/node", "@npm/bin/npm-cli.js", "ci"),
    trust=Trust.TOOL,
    net=Net.REGISTRY,
    cwd="/p",
    registry="npm",
    mounts=(
        Mount(target="/p", source=Source.PROJECTION, ref="npm", access=Access.WRITE),
        Mount(target="/cache/npm", source=Source.CACHE, ref="npm", access=Access.PRIVATE),
    ),
    outputs=(Output(path="/cache/npm", promote="npm"),),
    limits="fetch",
)
PROJECTION = Projection(ref="npm", files={"package.json": b"{}"})


def plan(*steps: Step) -> Plan:
    return Plan(verb="resolve", steps=steps, projections=(PROJECTION,))


def test_an_honest_fetch_step_passes() -> None:
    check_plan(plan(FETCH))


BUILD = Step(
    id=StepId("build"),
    title="Build",
    argv=("@rust/bin/cargo", "build"),
    trust=Trust.PROJECT,
    env={"RUSTC": "@rust/bin/rustc", "RUSTC_WRAPPER": "", "DOTNET_ROOT": "@dotnet"},
    mounts=(
        Mount(target="/project", source=Source.PROJECT, access=Access.PRIVATE),
        Mount(target="/build", source=Source.BUILD, ref="rust-1", access=Access.WRITE),
    ),
)


def test_a_build_may_name_the_tool_that_was_found_and_run_what_was_built() -> None:
    check_plan(plan(BUILD, replace(BUILD, id=StepId("run"), argv=("/build/debug/app",))))


PROJECT = Mount(target="/project", source=Source.PROJECT, access=Access.PRIVATE)

BROKEN = {
    "I8 a tool that sees what builds left": (replace(BUILD, trust=Trust.TOOL), "I8"),
    "I5 a program out of its mounts": (replace(BUILD, argv=("/build/../usr/bin/cc",)), "I5"),
    "I5 a program of the system": (replace(BUILD, argv=("/usr/bin/env",)), "I5"),
    "I5 a tool that runs what was built": (
        replace(FETCH, argv=("/p/app",)),
        "I5",
    ),
    "I5 another compiler": (replace(BUILD, env={"RUSTC": "/project/rustc"}), "I5"),
    "I5 a wrapper": (replace(BUILD, env={"RUSTC_WRAPPER": "./x"}), "I5"),
    "I5 another runtime": (replace(BUILD, env={"DOTNET_ROOT": "@dotnet/../x"}), "I5"),
    "I1 project code with a registry": (replace(FETCH, trust=Trust.PROJECT, outputs=()), "I1"),
    "I2 a fetch step that sees the project": (
        replace(FETCH, mounts=(*FETCH.mounts, PROJECT)),
        "I2",
    ),
    "I2 a fetch step in the project's directory": (replace(FETCH, cwd="/project"), "I2"),
    "I3 project code that adds to a cache": (
        replace(FETCH, trust=Trust.PROJECT, net=Net.NONE),
        "I3",
    ),
    "I4 a cache written in place": (
        replace(
            FETCH,
            mounts=(
                FETCH.mounts[0],
                replace(FETCH.mounts[1], access=Access.WRITE),
            ),
        ),
        "I4",
    ),
    "I4 the project written in place": (
        replace(FETCH, net=Net.NONE, outputs=(), mounts=(replace(PROJECT, access=Access.WRITE),)),
        "I4",
    ),
    "I5 a program of the project": (replace(FETCH, argv=("node_modules/.bin/vite",)), "I5"),
    "I5 a shell": (replace(FETCH, argv=("@node/bin/sh", "-c", "id")), "I5"),
    "I5 a reference that climbs": (replace(FETCH, argv=("@node/../../project/x",)), "I5"),
    "I5 a loader variable": (replace(FETCH, env={"LD_PRELOAD": "/project/x.so"}), "I5"),
    "I5 options that load code": (
        replace(FETCH, env={"NODE_OPTIONS": "--require=/project/x.js"}),
        "I5",
    ),
    "I6 an unknown fallback": (replace(FETCH, fallback=StepId("nowhere")), "I6"),
    "I6 an output outside its mounts": (
        replace(FETCH, outputs=(Output(path="/etc/passwd", commit_to="passwd"),)),
        "I6",
    ),
    "I6 an output that climbs out of the project": (
        replace(FETCH, outputs=(Output(path="/p/x", commit_to="../x"),)),
        "I6",
    ),
    "I6 a projection nobody made": (
        replace(FETCH, mounts=(replace(FETCH.mounts[0], ref="other"), FETCH.mounts[1])),
        "I6",
    ),
    "I6 two mounts in one place": (replace(FETCH, mounts=(*FETCH.mounts, FETCH.mounts[0])), "I6"),
    "I7 limits nobody defined": (replace(FETCH, limits="endless"), "I7"),
    "I8 project code with the user's credentials": (
        replace(
            FETCH,
            trust=Trust.PROJECT,
            net=Net.NONE,
            outputs=(),
            mounts=(Mount(target="/home/user", source=Source.USER_CONFIG, ref="npm"),),
        ),
        "I8",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plan_that_breaks_a_rule_is_refused(name: str) -> None:
    step, rule = BROKEN[name]
    with pytest.raises(InvariantBroken) as caught:
        check_plan(plan(step))
    assert caught.value.rule == rule


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(InvariantBroken):
        check_plan(plan(FETCH, FETCH))


def test_a_person_may_type_any_command() -> None:
    typed = replace(FETCH, argv=("sh", "-c", "id"))
    check_plan(plan(typed), by_person=True)
    with pytest.raises(InvariantBroken):
        check_plan(plan(typed))
