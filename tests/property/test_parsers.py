"""Whatever bytes come, a parser of ours gives a value or its own refusal, and the same again."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.egress.hellos import hello, in_records

from cloche.egress.decide import authority, host_of
from cloche.egress.denial import Refused
from cloche.egress.dns import Resolver, parse
from cloche.egress.http_head import parse_head
from cloche.egress.nflog import refused_packets
from cloche.egress.tls import Hello, HelloReader, server_name
from cloche.errors import ClocheError, InvalidValue
from cloche.model.hosts import HostPattern, HostRule, canonical_host
from cloche.runtimes.node.discovery import read_configuration
from cloche.runtimes.node.lint import lint_lock
from cloche.runtimes.node.lock import read_lock
from cloche.runtimes.node.npmrc import read_settings, write_settings
from cloche.runtimes.node.source import LOCK
from cloche.runtimes.provider import RegistryFacts

REAL_HELLO = hello("ok.example.org")
RULES = (HostRule(pattern=HostPattern("*.example.org"), origin="network.allow[0]"),)
HEAD_WORDS = st.sampled_from(
    [b"GET ", b"/", b" HTTP/1.1", b"\r\n", b"\n", b"Host", b":", b" ", b"Content-Length", b"5", b"\0",
     b"Transfer-Encoding", b"chunked", b"ok.example.org", b"\xff", b","]
)  # fmt: skip


@st.composite
def bent(draw: st.DrawFn, real: bytes) -> bytes:
    """Something real with a piece changed, cut or doubled."""
    at = draw(st.integers(0, len(real)))
    end = draw(st.integers(at, len(real)))
    return real[:at] + draw(st.binary(max_size=8)) + real[end:]


@given(st.binary(max_size=400) | bent(REAL_HELLO) | bent(in_records(REAL_HELLO, 9)))
def test_a_hello_is_a_name_or_one_of_three_answers(data: bytes) -> None:
    answer = server_name(data)
    assert isinstance(answer, Hello) or (answer.isascii() and answer == answer.lower())


@given(st.binary(max_size=200) | bent(REAL_HELLO), st.lists(st.integers(1, 60), max_size=40))
def test_a_hello_is_the_same_in_any_pieces(data: bytes, sizes: list[int]) -> None:
    reader, at, answers = HelloReader(), 0, []
    for size in (*sizes, len(data)):
        answers.append(reader.feed(data[at : at + size]))
        at += size
        if answers[-1] is not Hello.INCOMPLETE:
            assert answers[-1] == server_name(data[:at])
            return
    assert server_name(data) is Hello.INCOMPLETE


@given(st.binary(max_size=300) | st.lists(HEAD_WORDS, max_size=30).map(b"".join))
def test_a_head_has_one_meaning_or_is_refused(data: bytes) -> None:
    try:
        head = parse_head(data)
        length = head.body_length()
    except Refused:
        return
    assert length is None or length >= 0
    # What we send on reads the same to the next reader, and names our host alone.
    again = parse_head(head.rebuilt("ok.example.org", "/").removesuffix(b"\r\n\r\n"))
    assert again.values("host") == ["ok.example.org"]
    assert again.body_length() == length


@given(st.binary(max_size=600))
def test_a_query_is_answered_with_its_own_number_or_not_at_all(data: bytes) -> None:
    refusals: list[Refused] = []
    answer = Resolver(RULES, refusals.append).answer(data)
    parse(data)
    assert (answer is None) == (len(data) < 2)
    assert answer is None or (answer[:2] == data[:2] and answer[2] & 0x80)


@given(st.binary(max_size=300))
def test_logged_packets_are_read_or_left_out(data: bytes) -> None:
    for protocol, address, port in refused_packets(data):
        assert protocol
        assert address
        assert 0 <= port < 65536


@given(st.text(max_size=80) | st.from_regex(r"[a-zA-Z0-9.:\[\]@-]{0,40}", fullmatch=True))
def test_a_name_is_canonical_or_refused(text: str) -> None:
    for read in (host_of, authority):
        try:
            read(text)  # type: ignore[operator]
        except Refused:
            continue
    try:
        host = canonical_host(text)
    except InvalidValue:
        return
    assert canonical_host(host) == host
    assert host.isascii()
    assert host == text.lower().removesuffix(".")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "name",
        "version",
        "integrity",
        "resolved",
        "link",
        "bin",
        "os",
        "license",
        "inBundle",
        "optional",
    ]
)
PLACES = st.sampled_from(
    ["", "node_modules/a", "node_modules/a/node_modules/b", "lib", "../x", "node_modules/"]
)
ENTRIES = st.dictionaries(
    PLACES | st.text(max_size=8), st.dictionaries(FIELDS, JSON, max_size=6) | JSON, max_size=5
)
LOCKS = st.fixed_dictionaries(
    {"lockfileVersion": st.sampled_from([2, 3]) | JSON, "packages": ENTRIES | JSON}
)


@given(st.binary(max_size=100) | (JSON | LOCKS).map(lambda value: json.dumps(value).encode()))
def test_a_lock_is_read_and_linted_or_refused(content: bytes) -> None:
    try:
        lock = read_lock(LOCK, content)
        lint_lock(lock, ("lib",), RegistryFacts(urls=("https://a.example.org/",)))
    except ClocheError:
        return
    # What passes the linter has nothing but named, exact, digested packages.
    for entry in lock.packages():
        assert entry.integrity or entry.bundled
        assert entry.version[0].isdigit()


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_npm_prints_is_read_or_refused(output: bytes) -> None:
    try:
        facts = read_configuration(output)
    except ClocheError:
        return
    assert facts.urls


@given(st.binary(max_size=300))
def test_a_projects_settings_are_harmless_or_left_out(content: bytes) -> None:
    settings = read_settings(content)
    assert read_settings(write_settings(settings)).followed == settings.followed
    assert all(key.isprintable() for key in settings.left_out)
