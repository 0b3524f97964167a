"""The report says what the kernel said of the program's own process, and no more."""

from typing import Any

import pytest

from cloche.model.limits import LIMIT_CLASSES
from cloche.platforms.linux.standing import standing_report
from cloche.sandbox.features import Feature, Support
from cloche.sandbox.plan import NetworkPlan, SandboxPlan

KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
PLAN = SandboxPlan(
    step="s",
    argv=("true",),
    env={},
    cwd="/",
    mounts=(),
    writable=(),
    limits=LIMIT_CLASSES["tool"],
    network=NetworkPlan(),
)


def told(**changes: str) -> dict[str, Any]:
    sets = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
    return {
        "credentials": {"NoNewPrivs": "1", "Seccomp": "2", **sets, **changes},
        "namespaces": {kind: f"{kind}:[1]" for kind in KINDS},
        "landlock": 7,
        "level": "redirect",
    }


def support(facts: dict[str, Any], feature: Feature) -> Support:
    return standing_report(facts, (), (), PLAN).support(feature)


def test_all_that_was_read_back_is_full() -> None:
    for feature in (Feature.NO_NEW_PRIVS, Feature.NO_CAPABILITIES, Feature.SECCOMP, Feature.PID_NS):
        assert support(told(), feature) is Support.FULL


@pytest.mark.parametrize(
    ("name", "value", "feature"),
    [
        ("NoNewPrivs", "0", Feature.NO_NEW_PRIVS),
        ("Seccomp", "0", Feature.SECCOMP),
        ("CapBnd", "0000000000000001", Feature.NO_CAPABILITIES),
        ("CapAmb", "?", Feature.NO_CAPABILITIES),
    ],
)
def test_what_is_not_there_is_none(name: str, value: str, feature: Feature) -> None:
    assert support(told(**{name: value}), feature) is Support.NONE


def test_what_was_not_told_is_none() -> None:
    for feature in (Feature.USER_NS, Feature.NO_NEW_PRIVS, Feature.LANDLOCK, Feature.EGRESS_FILTER):
        assert support({}, feature) is Support.NONE
