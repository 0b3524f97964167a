"""The sandbox's resolver: every allowed name gets an address of our own; nothing is asked upstream.

RFC 1035 for the messages. Since no query leaves the host here, a name cannot
carry a secret out; the real look-up is made when a connection is allowed.
"""

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass

from cloche.egress.decide import allowing, host_of, is_named
from cloche.egress.denial import Refused
from cloche.model.hosts import HostRule

_FORMERR, _NXDOMAIN, _REFUSED = 1, 3, 5
_A = 1
_SECONDS = 60
_FIRST = int(ipaddress.IPv4Address("198.18.0.16"))
_MOST_NAMES = 4096
_LONGEST_NAME = 255  # with the lengths of its labels, RFC 1035 section 2.3.4


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a query."""

    number: int
    flags: int
    name: str
    kind: int
    raw: bytes


class Resolver:
    """Answers queries; remembers which of our addresses stands for which name."""

    def __init__(self, rules: tuple[HostRule, ...], refuse: Callable[[Refused], None]) -> None:
        self._rules = rules
        self._refuse = refuse
        self._by_name: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def name_of(self, address: str) -> str | None:
        """Give the name that one of our addresses stands for."""
        return self._names.get(int(ipaddress.IPv4Address(address)))

    def answer(self, data: bytes) -> bytes | None:
        """Answer one query; None when it is too short to be answered at all."""
        question = parse(data)
        if question is None:
            return (
                data[:2] + struct.pack(">5H", 0x8000 | _FORMERR, 0, 0, 0, 0)
                if len(data) >= 2
                else None
            )
        if question.name.endswith(".arpa"):
            return _reply(question, _NXDOMAIN)
        try:
            host = host_of(question.name)
            if not is_named(self._rules, host):
                raise Refused("network.default", f"resolve {host}", allowing(host, 443))
            if question.kind != _A:
                return _reply(question, 0)  # no data: the name is there, other records are not
            address = self._address(host)
        except Refused as refusal:
            self._refuse(refusal)
            return _reply(question, _REFUSED if refusal.rule == "network.max_names" else _NXDOMAIN)
        return _reply(question, 0, address)

    def _address(self, host: str) -> int:
        if host not in self._by_name:
            if len(self._by_name) >= _MOST_NAMES:
                raise Refused("network.max_names", f"resolve {host}")
            address = _FIRST + len(self._by_name)
            self._by_name[host] = address
            self._names[address] = host
        return self._by_name[host]


def parse(data: bytes) -> Question | None:
    """Read a query of one question; None for anything else. Compression is not for questions."""
    if len(data) < 17:
        return None
    number, flags, count = struct.unpack_from(">3H", data)
    if flags & 0xF800 or count != 1:
        return None
    labels: list[str] = []
    place = 12
    while True:
        length = data[place]
        if length == 0:
            place += 1
            break
        if length > 63 or place + 1 + length >= len(data) or place > 280:
            return None
        labels.append(data[place + 1 : place + 1 + length].decode("latin-1").lower())
        place += 1 + length
    if len(data) < place + 4 or place - 12 > _LONGEST_NAME:
        return None
    (kind,) = struct.unpack_from(">H", data, place)
    return Question(number, flags, ".".join(labels), kind, data[12 : place + 4])


def _reply(question: Question, code: int, address: int | None = None) -> bytes:
    flags = 0x8080 | (question.flags & 0x0100) | code
    counts = (1, 0 if address is None else 1, 0, 0)
    record = b"" if address is None else struct.pack(">3HIHI", 0xC00C, _A, 1, _SECONDS, 4, address)
    return struct.pack(">6H", question.number, flags, *counts) + question.raw + record
