"""One form for a name, and a wildcard that means what is below."""

import pytest

from cloche.errors import InvalidValue
from cloche.model.hosts import HostPattern, HostRule, canonical_host


@pytest.mark.parametrize(
    "text", ["o\u212a.example.org", "\u00e4.example.org", "\uff4fk.example.org", "ok\u00ad.org"]
)
def test_a_name_beyond_ascii_is_refused_before_it_is_folded(text: str) -> None:
    with pytest.raises(InvalidValue):
        canonical_host(text)


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("ok.example.org", "ok.example.org", True),
        ("OK.example.org.", "ok.example.org", True),
        ("ok.example.org", "a.ok.example.org", False),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", ".example.org", False),
        ("*.example.org", "evilexample.org", False),
        ("*.example.org", "a.example.org.evil", False),
    ],
)
def test_a_pattern_means(pattern: str, host: str, *, matches: bool) -> None:
    assert HostPattern(pattern).matches(host) is matches


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*.",
        "a.*.example.org",
        "*example.org",
        "**.example.org",
        "127.1",
        "*.127.0.0.1",
        "::1%lo",
        "[::1]",
        "",
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        HostPattern(text)


@pytest.mark.parametrize("ports", [(), (0,), (65536,), (443, -1)])
def test_a_rule_has_ports(ports: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValue):
        HostRule(pattern=HostPattern("a.example.org"), ports=ports, origin="x")
