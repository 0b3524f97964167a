"""Policy and capability agree to a step, or it is refused with what would allow it."""

from dataclasses import replace
from pathlib import Path

import pytest

from cloche.capability.capability import Capability, Resource
from cloche.kernel.context import ExecutionContext, RunOptions
from cloche.kernel.errors import StepDenied
from cloche.kernel.gate import gate
from cloche.kernel.typed import command_plan, host_rules
from cloche.model.hosts import NetworkMode
from cloche.policy.load import load_default
from cloche.policy.schema import Policy

NAMED = ("example.org:443",)
FULL = ExecutionContext.full(Path("/p"))


def judge(context: ExecutionContext, policy: Policy, network: tuple[str, ...] = ()) -> None:
    (step,) = command_plan(("curl", "x"), RunOptions(network=network)).steps
    gate(
        step,
        context,
        policy,
        hosts=host_rules(network),
        hidden=(),
        now=0.0,
        budget_bytes=64 << 30,
        by_person=True,
    )


def changes(refusal: pytest.ExceptionInfo[StepDenied]) -> set[str]:
    return {each.change for each in refusal.value.refusals}


def test_a_host_that_a_person_named_is_allowed_by_default() -> None:
    judge(FULL, load_default(), NAMED)


def test_each_refusal_says_the_smallest_change() -> None:
    policy = load_default()
    strict = replace(
        policy,
        allows_typed_hosts=False,
        execute=replace(policy.execute, typed_commands=False),
    )
    with pytest.raises(StepDenied) as refusal:
        judge(FULL, strict, NAMED)
    assert changes(refusal) == {
        "set shell_execution.typed_commands to true in the policy",
        "add {host: example.org, ports: [443]} to network.allow in the policy",
    }
    assert "typed_commands" in refusal.value.remedy


def test_what_nobody_holds_a_capability_for_is_refused_whatever_the_policy_says() -> None:
    reader = replace(FULL, capabilities=(Capability(resource=Resource.READ, pattern="**"),))
    with pytest.raises(StepDenied) as refusal:
        judge(reader, load_default())
    assert changes(refusal) == {"ask whoever gave the capabilities for more"}


def test_a_context_without_network_has_none() -> None:
    with pytest.raises(StepDenied, match="no network"):
        judge(replace(FULL, network_policy=NetworkMode.NONE), load_default(), NAMED)
