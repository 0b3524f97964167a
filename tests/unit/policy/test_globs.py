"""Globs part by part."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.errors import InvalidValue
from cloche.model.paths import JailPath
from cloche.policy.globs import Glob, GlobSet
from cloche.policy.schema import FileRules

_PARTS = st.sampled_from(("a", "b", "A", ".git", "x.pem", "X.PEM", ".env.local"))
_WILD = st.sampled_from(("**", "*", "*.pem", "?", ".env.*", "[ab]", "*.PEM"))
_GLOBS = st.lists(
    st.lists(st.one_of(_PARTS, _WILD), min_size=1, max_size=4).map("/".join).map(Glob), max_size=6
).map(tuple)
_PATHS = st.lists(_PARTS, min_size=1, max_size=4).map(tuple).map(JailPath)


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


@given(globs=_GLOBS, path=_PATHS)
def test_many_patterns_asked_at_once_say_what_each_says(
    globs: tuple[Glob, ...], path: JailPath
) -> None:
    each = tuple((number, glob) for number, glob in enumerate(globs) if glob.matches(path))
    assert GlobSet(globs).matching(path) == each


@given(deny=_GLOBS, exempt=_GLOBS, path=_PATHS)
def test_what_is_denied_elsewhere_is_what_the_folded_patterns_deny(
    deny: tuple[Glob, ...], exempt: tuple[Glob, ...], path: JailPath
) -> None:
    there = JailPath(tuple(part.lower() for part in path.parts))
    found = [number for number, glob in enumerate(deny) if glob.folded.matches(there)]
    spared = any(glob.folded.matches(there) for glob in exempt)
    rules = FileRules(allow=(), deny=deny, exempt=exempt)
    assert [n for n, _ in rules.denying_elsewhere(path)] == ([] if spared else found)
