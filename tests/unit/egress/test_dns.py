"""Our resolver: addresses of ours for names that are allowed, no data for their other records, no such name else."""

import ipaddress
import struct

import pytest

from cloche.egress.denial import Refused
from cloche.egress.dns import Resolver, parse
from cloche.model.hosts import HostPattern, HostRule

RULES = tuple(
    HostRule(pattern=HostPattern(text), origin="network.allow[0]")
    for text in ("ok.example.org", "*.wild.example.org")
)
NOERROR, FORMERR, NXDOMAIN, REFUSED = 0, 1, 3, 5


def query(name: str, kind: int = 1, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(p)]) + p for p in name.encode("latin-1").split(b".")) + b"\0"
    return struct.pack(">6H", 7, flags, 1, 0, 0, 0) + labels + struct.pack(">2H", kind, 1)


class Asked:
    def __init__(self) -> None:
        self.refusals: list[Refused] = []
        self.resolver = Resolver(RULES, self.refusals.append)

    def __call__(self, data: bytes) -> tuple[int, list[str]]:
        answer = self.resolver.answer(data)
        assert answer is not None
        assert answer[:2] == data[:2]
        assert answer[2] & 0x80
        count = int.from_bytes(answer[6:8], "big")
        found = [str(ipaddress.IPv4Address(answer[-4:]))] if count else []
        return answer[3] & 15, found


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_each_allowed_name_has_an_address_of_its_own_for_the_whole_run(asked: Asked) -> None:
    first, second = (
        asked(query("ok.example.org"))[1][0],
        asked(query("a.wild.example.org"))[1][0],
    )
    assert first != second
    assert asked(query("OK.Example.org"))[1] == [first]
    assert asked.resolver.name_of(first) == "ok.example.org"
    assert asked.resolver.name_of("198.18.255.255") is None
    assert all(
        ipaddress.ip_address(a) in ipaddress.ip_network("198.18.0.0/15") for a in (first, second)
    )


@pytest.mark.parametrize("kind", [2, 5, 12, 15, 16, 28, 33, 64, 65, 255, 257])
def test_other_records_of_an_allowed_name_are_not_there_but_the_name_is(
    asked: Asked, kind: int
) -> None:
    assert asked(query("ok.example.org", kind)) == (NOERROR, [])


@pytest.mark.parametrize(
    "name", ["evil.example.org", "wild.example.org", "evilwild.example.org", "ok.example.org.evil"]
)
def test_other_names_are_not_there_and_told(asked: Asked, name: str) -> None:
    assert asked(query(name)) == (NXDOMAIN, [])
    assert [r.rule for r in asked.refusals] == ["network.default"]
    assert name in asked.refusals[0].tried
    assert "network.allow" in asked.refusals[0].remedy


@pytest.mark.parametrize("name", ["127.0.0.1", "0x7f.1", "a\xe9.example.org", "a b.example.org"])
def test_odd_names_are_not_there(asked: Asked, name: str) -> None:
    assert asked(query(name)) == (NXDOMAIN, [])


def test_reverse_names_are_not_there_and_not_told(asked: Asked) -> None:
    assert asked(query("1.0.0.127.in-addr.arpa", 12)) == (NXDOMAIN, [])
    assert asked.refusals == []


def test_names_are_bounded(asked: Asked) -> None:
    codes = [asked(query(f"n{i}.wild.example.org"))[0] for i in range(4100)]
    assert codes.count(REFUSED) == 4
    assert asked(query("n5.wild.example.org"))[0] == NOERROR


@pytest.mark.parametrize(
    "data",
    [
        bytes(17),
        query("ok.example.org", flags=0x8100),
        query("ok.example.org", flags=0x2800),
        query("ok.example.org")[:4] + b"\0\2" + query("ok.example.org")[6:],
        query("ok.example.org")[:-5],
        query("ok.example.org")[:12] + b"\xc0\x0c\0\1\0\1" + bytes(4),
        query("ok.example.org")[:12] + b"\x3f" + b"a" * 10,
        query(".".join(["a" * 63] * 5)),
    ],
)
def test_a_malformed_query_is_said_to_be_one(asked: Asked, data: bytes) -> None:
    assert parse(data) is None
    assert asked(data) == (FORMERR, [])


def test_what_has_not_even_a_number_is_not_answered(asked: Asked) -> None:
    assert asked.resolver.answer(b"") is None
    assert asked.resolver.answer(b"x") is None
