"""What a caller holds decides; one right without objection suffices, and silence is denial."""

import pytest

from cloche.capability.capability import Capability, Resource
from cloche.capability.check import check
from cloche.capability.constraint import Constraints
from cloche.model.action import Action, Connect, DeleteFile, Execute, ReadFile, WriteFile
from cloche.model.paths import JailPath
from cloche.model.step import Trust

NOW = 1_000.0
ACTIONS: list[Action] = [
    Execute(argv=("@node/bin/node", "x"), trust=Trust.TOOL),
    ReadFile(path=JailPath.parse("src/a.ts")),
    WriteFile(path=JailPath.parse("src/a.ts")),
    DeleteFile(path=JailPath.parse("src/a.ts")),
    Connect(host="api.example.org", port=443),
]


def write(pattern: str, **constraints: object) -> Capability:
    return Capability(
        resource=Resource.WRITE,
        pattern=pattern,
        constraints=Constraints(**constraints),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("action", ACTIONS, ids=repr)
def test_nobody_holds_nothing(action: Action) -> None:
    verdict = check((), action, NOW)
    assert not verdict.allowed
    assert "no capability" in verdict.reasons[0]


@pytest.mark.parametrize("action", ACTIONS, ids=repr)
def test_the_full_set_holds_everything_and_each_right_only_its_own(action: Action) -> None:
    full = Capability.full_set()
    assert check(full, action, NOW).allowed
    allowing = [c for c in full if check((c,), action, NOW).allowed]
    assert len(allowing) == 1


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("src/**", "src/a.ts", True),
        ("src/**", "src/deep/a.ts", True),
        ("src/**", "srcs/a.ts", False),
        ("src/**", "src", False),
        ("src/a.ts", "src/a.ts", True),
        ("src/a.ts", "src/a.tsx", False),
        ("src", "src/a.ts", False),
    ],
)
def test_a_pattern_covers(pattern: str, path: str, *, allowed: bool) -> None:
    assert check((write(pattern),), WriteFile(path=JailPath.parse(path)), NOW).allowed is allowed


@pytest.mark.parametrize(
    ("constraints", "reason"),
    [
        ({"expires_at": NOW}, "expired"),
        ({"extensions": frozenset({".css"})}, "it is for .css files"),
        ({"extensions": frozenset()}, "it is for no files"),
    ],
)
def test_a_constraint_refuses_and_says_so(constraints: dict[str, object], reason: str) -> None:
    verdict = check((write("**", **constraints),), ACTIONS[2], NOW)
    assert not verdict.allowed
    assert reason in verdict.reasons[0]


def test_another_right_without_objection_suffices() -> None:
    held = (write("**", expires_at=NOW - 1), write("src/**", expires_at=NOW + 1))
    assert check(held, ACTIONS[2], NOW).allowed
    assert not check(held, ACTIONS[2], NOW + 1).allowed


def test_a_port_is_held_to() -> None:
    held = Capability(
        resource=Resource.CONNECT,
        pattern="api.example.org",
        constraints=Constraints(ports=frozenset({443})),
    )
    assert check((held,), Connect(host="api.example.org", port=443), NOW).allowed
    assert not check((held,), Connect(host="api.example.org", port=80), NOW).allowed


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a/b.ts", ".ts"), ("a.b/c", ""), (".env", ""), ("a.tar.gz", ".gz"), ("..x.ts", ".ts")],
)
def test_an_extension_is_of_the_last_part(name: str, extension: str) -> None:
    only = Constraints(extensions=frozenset({extension}))
    assert only.objections(name=name, port=None, now=NOW) == ()
