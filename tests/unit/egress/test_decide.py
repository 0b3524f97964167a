"""Names and ports against rules: what is refused says why, and what would allow it."""

import pytest

from cloche.egress.decide import authority, host_of, is_named, rule_for, written
from cloche.egress.denial import Refused
from cloche.model.hosts import HostPattern, HostRule

RULES = (
    HostRule(pattern=HostPattern("ok.example.org"), ports=(443,), origin="network.allow[0]"),
    HostRule(pattern=HostPattern("*.wild.example.org"), ports=(80, 443), origin="network.allow[1]"),
    HostRule(pattern=HostPattern("ok.example.org"), ports=(8443,), origin="registry:npm"),
)


@pytest.mark.parametrize(
    ("host", "port", "origin"),
    [
        ("ok.example.org", 443, "network.allow[0]"),
        ("ok.example.org", 8443, "registry:npm"),
        ("a.wild.example.org", 80, "network.allow[1]"),
        ("a.b.wild.example.org", 443, "network.allow[1]"),
    ],
)
def test_the_rule_that_allows_is_named(host: str, port: int, origin: str) -> None:
    assert rule_for(RULES, host, port).origin == origin


@pytest.mark.parametrize(
    ("host", "port", "rule", "remedy"),
    [
        ("evil.example.org", 443, "network.default", "add {host: evil.example.org, ports: [443]}"),
        ("wild.example.org", 443, "network.default", "add {host: wild.example.org, ports: [443]}"),
        ("evilwild.example.org", 443, "network.default", "network.allow"),
        ("xok.example.org", 443, "network.default", "network.allow"),
        ("ok.example.org", 22, "network.allow[0].ports", "add port 22 to network.allow[0]"),
    ],
)
def test_a_refusal_says_which_rule_and_what_would_allow_it(
    host: str, port: int, rule: str, remedy: str
) -> None:
    with pytest.raises(Refused) as refusal:
        rule_for(RULES, host, port)
    assert refusal.value.rule == rule
    assert refusal.value.tried == f"connect {host}:{port}"
    assert remedy in refusal.value.remedy


def test_silence_is_denial() -> None:
    assert not is_named((), "ok.example.org")
    with pytest.raises(Refused):
        rule_for((), "ok.example.org", 443)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("ok.example.org", "ok.example.org"),
        ("OK.Example.ORG.", "ok.example.org"),
        ("xn--bcher-kva.example.org", "xn--bcher-kva.example.org"),
        ("_srv.example.org", "_srv.example.org"),
        ("localhost", "localhost"),
    ],
)
def test_a_name_has_one_form(text: str, host: str) -> None:
    assert host_of(text) == host


@pytest.mark.parametrize("text", ["127.0.0.1", "[::1]", "::1", "8.8.8.8", "[2001:db8::1]"])
def test_an_address_is_refused_unless_a_rule_is_for_that_very_address(text: str) -> None:
    host = host_of(text)
    with pytest.raises(Refused) as refusal:
        rule_for(
            (*RULES, HostRule(pattern=HostPattern("10.0.0.5"), origin="registry:npm")), host, 443
        )
    assert refusal.value.rule == "network.ip_literal"
    own = HostRule(pattern=HostPattern(host), origin="registry:npm")
    assert rule_for((own,), host, 443) is own


@pytest.mark.parametrize(
    "text",
    ["fe80::1%lo", "[fe80::1%lo]", "127.1", "0:0:0:0:0:0:0:1", "::FFFF:1.2.3.4", "[127.0.0.1"],
)
def test_an_address_in_another_form_is_none(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        host_of(text)
    assert refusal.value.rule == "network.malformed"


ODD = [
    "", ".", "..", "a..b", ".a", "a..", "-a.example", "a-.example", "a b", "a\tb", "a\0b", "a/b", "a@b", "a%00b",
    "a%2eb", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "a.0x", "1.2.3.4.5",
    "ok\u3002example.org", "o\u212a.example.org", "\u0456.example.org", "[ok.example.org]", "[::1", "x" * 64,
    ".".join(["a" * 60] * 5), "*.example.org", "a\\b", "a:b",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_a_form_that_two_readers_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        host_of(text)


@pytest.mark.parametrize(
    ("text", "default", "answer"),
    [
        ("ok.example.org:443", 0, ("ok.example.org", 443)),
        ("OK.example.org.:8443", 0, ("ok.example.org", 8443)),
        ("ok.example.org", 80, ("ok.example.org", 80)),
        ("10.0.0.5:4873", 0, ("10.0.0.5", 4873)),
        ("[::1]:4873", 0, ("::1", 4873)),
    ],
)
def test_an_authority_is_split(text: str, default: int, answer: tuple[str, int]) -> None:
    assert authority(text, default) == answer
    assert authority(written(*answer)) == answer


@pytest.mark.parametrize(
    "text",
    [
        "ok.example.org", "ok.example.org:", "ok.example.org:0", "ok.example.org:65536", "ok.example.org:+1",
        "ok.example.org:1:2", "ok.example.org:x", "u@ok.example.org:443", "ok.example.org/:443", ":443", "",
        "ok.example.org:443\n", " ok.example.org:443", "[::1:443", "::1:443", "ok.example.org?:443", "ok.example.org#:443",
    ],
)  # fmt: skip
def test_anything_else_is_no_authority(text: str) -> None:
    with pytest.raises(Refused):
        authority(text)
