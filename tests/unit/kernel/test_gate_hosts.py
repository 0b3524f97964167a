"""Policy and capability both agree to every host, a pattern only where a rule is as wide."""

from pathlib import Path

import pytest
from tests.unit.policy.documents import policy

from cloche.capability.capability import Capability
from cloche.errors import InvalidValue
from cloche.kernel.context import ExecutionContext
from cloche.kernel.errors import StepDenied
from cloche.kernel.gate import gate
from cloche.kernel.typed import host_rules
from cloche.model.grant import Grant
from cloche.model.hosts import HostRule, NetworkMode
from cloche.model.ids import StepId
from cloche.model.step import Net, Step, Trust


def granted(*hosts: str, mode: NetworkMode = NetworkMode.RESTRICTED) -> Grant:
    rules: tuple[HostRule, ...] = host_rules(hosts)
    context = ExecutionContext(
        capabilities=Capability.full_set(),
        project_root=Path("/project"),
        allowed_paths=("**",),
        network_policy=mode,
        max_memory_bytes=None,
        max_cpu_percent=None,
        timeout_seconds=None,
        hosts=rules,
    )
    step = Step(
        id=StepId("run"), title="t", argv=("ls",), trust=Trust.PROJECT, net=Net.HOSTS, limits="run"
    )
    return gate(
        step,
        context,
        policy(),
        hosts=rules,
        hidden=(),
        now=1.0,
        budget_bytes=64 << 30,
        by_person=True,
    )


@pytest.mark.parametrize(
    "host",
    [
        "api.example.org:443",
        "a.cdn.example.org:443",
        "*.cdn.example.org:443",
        "*.a.cdn.example.org:443",
    ],
)
def test_what_a_rule_covers_is_granted(host: str) -> None:
    assert [rule.pattern.text for rule in granted(host).hosts] == [host.removesuffix(":443")]


@pytest.mark.parametrize(
    "host", ["api.example.org", "*.api.example.org:443", "*.example.org:443", "cdn.example.org:443"]
)
def test_what_no_rule_covers_whole_is_refused(host: str) -> None:
    with pytest.raises(StepDenied):
        granted(host)


def test_a_run_without_network_has_none_whatever_the_policy_says() -> None:
    with pytest.raises(StepDenied):
        granted("api.example.org:443", mode=NetworkMode.NONE)


@pytest.mark.parametrize(
    "text", ["a.example.org:", "a.example.org:x", "a.example.org:0", "a.example.org:99999999", "10.0.0.5",
             "10.0.0.5:80", "a.example.org:\u0664", "", "[::1]:443", "::1"]
)  # fmt: skip
def test_what_a_person_typed_wrong_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(InvalidValue):
        host_rules((text,))
