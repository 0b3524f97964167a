"""When another step may stand for one that failed, and what a failure is called."""

from dataclasses import replace

import pytest

from cloche.kernel.errors import NetworkWanted, StepFailed
from cloche.kernel.outcome import judge, may_fall_back
from cloche.model.ids import StepId
from cloche.model.step import Step, Trust
from cloche.sandbox.platform import Exit

STEP = Step(id=StepId("lock"), title="Lock", argv=("@node/bin/node",), trust=Trust.TOOL)
ANY = replace(STEP, fallback=StepId("other"))
SOME = replace(ANY, fallback_codes=frozenset({"EALLOWREMOTE"}))


@pytest.mark.parametrize(
    ("step", "codes", "expected"),
    [
        (STEP, {"EALLOWREMOTE"}, False),
        (ANY, set(), True),
        (SOME, {"EALLOWREMOTE", "E404"}, True),
        (SOME, {"E404"}, False),
    ],
)
def test_a_fallback_is_tried_when_it_may_help(step: Step, codes: set[str], expected: bool) -> None:
    assert may_fall_back(step, frozenset(codes)) is expected
    outcome, _ = judge(step, Exit(status=1), frozenset(codes))
    assert outcome == ("warned" if expected else "failed")


def test_a_network_that_was_wanted_is_named_and_is_a_failure_of_the_step() -> None:
    failure = StepFailed("build", "Build", 1)
    wanted = NetworkWanted(failure, ("resolve fonts.example.org",))
    assert isinstance(wanted, StepFailed)
    assert wanted.exit_status != failure.exit_status
    assert "fonts.example.org" in str(wanted)
    assert "nothing was changed" in wanted.remedy
