"""A child never exceeds its parent."""

import pytest

from cloche.capability.attenuate import narrow
from cloche.capability.capability import Capability, Resource
from cloche.capability.check import commit_constraints
from cloche.capability.constraint import Constraints
from cloche.errors import InvalidValue

READ, WRITE = Resource.READ, Resource.WRITE


@pytest.mark.parametrize(
    ("parent", "child", "given"),
    [
        ("**", "src/**", True),
        ("**", "**", True),
        ("src/**", "src/deep/**", True),
        ("src/**", "src/a", True),
        ("src/**", "src/**", True),
        ("a", "a", True),
        ("src/**", "**", False),
        ("src/**", "srcs/**", False),
        ("src/**", "lib/a", False),
        ("a", "b", False),
        ("a", "a/**", False),
        ("a", "**", False),
    ],
)
def test_a_pattern_is_only_ever_narrowed(parent: str, child: str, *, given: bool) -> None:
    made = narrow(
        Capability(resource=READ, pattern=parent), Capability(resource=READ, pattern=child)
    )
    assert (made is not None) is given
    assert made is None or made.pattern == child


def test_another_resource_is_not_given() -> None:
    assert (
        narrow(Capability(resource=READ, pattern="**"), Capability(resource=WRITE, pattern="a"))
        is None
    )


def test_constraints_add_up() -> None:
    one = Constraints(expires_at=50.0, extensions=frozenset({".a", ".b"}))
    two = Constraints(expires_at=70.0, extensions=frozenset({".b", ".c"}), ports=frozenset({443}))
    both = Constraints(expires_at=50.0, extensions=frozenset({".b"}), ports=frozenset({443}))
    assert one.narrowed_by(two) == two.narrowed_by(one) == both


def test_ceilings_of_a_commit_are_only_ever_lowered() -> None:
    one = Constraints(max_bytes=9, max_file_bytes=5)
    two = Constraints(max_bytes=7, max_entries=3)
    assert one.narrowed_by(two) == Constraints(max_bytes=7, max_file_bytes=5, max_entries=3)
    held = tuple(Capability(resource=WRITE, pattern="**", constraints=c) for c in (one, two))
    other = Capability(resource=READ, pattern="**", constraints=Constraints(max_bytes=1))
    assert commit_constraints((*held, other)) == one.narrowed_by(two)


def test_a_ceiling_below_nothing_is_none() -> None:
    with pytest.raises(InvalidValue):
        Constraints(max_entries=-1)


@pytest.mark.parametrize("moment", [0.0, -1.0, float("nan")])
def test_a_moment_that_never_comes_is_no_expiry(moment: float) -> None:
    with pytest.raises(InvalidValue):
        Constraints(expires_at=moment)
