"""Which steps of a plan are done, or not done, together."""

from cloche.kernel.trail import legs
from cloche.model.ids import StepId
from cloche.model.step import Plan, Step, Trust


def step(name: str, trust: Trust = Trust.TOOL, fallback: str = "") -> Step:
    return Step(
        id=StepId(name),
        title=name,
        argv=("@node/bin/node",),
        trust=trust,
        fallback=StepId(fallback) if fallback else None,
    )


def names(*steps: Step) -> list[list[str]]:
    return [[str(one.id) for one in leg] for leg in legs(Plan(verb="resolve", steps=steps))]


def test_project_code_is_one_leg_with_what_was_laid_out_for_it() -> None:
    project = Trust.PROJECT
    assert names(step("lock"), step("fetch"), step("scripts", project), step("more", project)) == [
        ["lock"],
        ["fetch", "scripts", "more"],
    ]
    assert names(step("build", project)) == [["build"]]
    assert names() == []


def test_what_stands_in_for_another_is_in_no_leg() -> None:
    assert names(
        step("lay-out", fallback="fetch"), step("fetch", fallback="mend"), step("mend")
    ) == [["lay-out"]]
