"""Globs part by part."""

import time

import pytest

from cloche.errors import InvalidValue
from cloche.model.paths import JailPath
from cloche.policy.globs import Glob


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("*", "a", True),
        ("*", "a/b", False),
        ("*.pem", "a.pem", True),
        ("*.pem", "x/a.pem", False),
        ("**/*.pem", "a.pem", True),
        ("**/*.pem", "x/y/a.pem", True),
        ("src/**", "src/a", True),
        ("src/**", "src", True),
        ("src/**", "srcs/a", False),
        ("**/.git/**", ".git/config", True),
        ("**/.git/**", "a/.git/hooks/x", True),
        ("**/.git", "a/.git", True),
        ("**/.git", "a/.git/x", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/x/y/c", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("A", "a", False),
        ("[ab]", "b", True),
        ("**/**/x", "x", True),
    ],
)
def test_a_pattern_means(pattern: str, path: str, *, matches: bool) -> None:
    assert Glob(pattern).matches(JailPath.parse(path)) is matches


@pytest.mark.parametrize(
    "pattern", ["", "/a", "a/", "a//b", "./a", "../a", "a/..", "a**", "**a/b", "a\0"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidValue):
        Glob(pattern)


def test_many_stars_take_no_longer_than_their_length() -> None:
    """Not a timed test: a matcher that tries every split would not end in the life of this machine."""
    began = time.monotonic()
    pattern, path = "/".join(["**", "a"] * 30) + "/b", JailPath(("a",) * 200)
    assert not Glob(pattern).matches(path)
    assert time.monotonic() - began < 30
