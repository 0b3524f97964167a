"""Names of hosts as policy writes them and as egress enforces them: one canonical form."""

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

from cloche.errors import InvalidValue

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")


class NetworkMode(Enum):
    """What a step may reach."""

    NONE = "none"
    RESTRICTED = "restricted"


def canonical_host(text: str) -> str:
    """Fold case and a trailing dot; refuse what two parsers could read differently.

    Refused: non-ASCII, labels outside letters, digits, hyphen and underscore,
    and a last label that is a number (2130706433, 0x7f.1, 127.1: forms some
    resolvers take for an address). Raises InvalidValue.
    """
    host = text.lower().removesuffix(".")
    labels = host.split(".")
    # Before folding: some letters of other scripts become ASCII by it (U+212A is a "k").
    if not text.isascii() or len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        raise InvalidValue("host", text[:80], "a host name of letters, digits and hyphens")
    if _NUMERIC.match(labels[-1]):
        raise InvalidValue("host", text[:80], "a name, not a numeric address")
    return host


def is_address(text: str) -> bool:
    """Tell whether `text` is an IP address as everybody writes it: dotted quad or canonical IPv6, no zone."""
    try:
        return "%" not in text and str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class HostPattern:
    """An exact host name or address, or "*.domain", which matches names below the domain only.

    >>> HostPattern("*.example.org").matches("a.example.org")
    True
    >>> HostPattern("*.example.org").matches("example.org")
    False
    >>> HostPattern("*.example.org").matches("evilexample.org")
    False
    """

    text: str

    def __post_init__(self) -> None:
        if is_address(self.text):
            return
        wild = self.text.startswith("*.")
        canonical = canonical_host(self.text[2:] if wild else self.text)
        object.__setattr__(self, "text", f"*.{canonical}" if wild else canonical)

    def matches(self, host: str) -> bool:
        """Tell whether the canonical `host` is meant."""
        if self.text.startswith("*."):
            return host.endswith(self.text[1:]) and len(host) > len(self.text) - 1
        return host == self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """One permission to connect: which names, which ports, who said so.

    `trusted_addresses` are the special-use addresses (loopback, private,
    documentation) this name may resolve to; every other non-public address is
    refused. They are pinned when the user's own configuration is read, so a
    name that later resolves elsewhere gains nothing.
    """

    pattern: HostPattern
    ports: tuple[int, ...] = (443,)
    origin: str
    """The rule's name in events, such as `network.allow[3]` or `registry:npm`."""
    trusted_addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.ports or not all(0 < port < 65536 for port in self.ports):
            raise InvalidValue("ports", self.ports, "one or more of 1 to 65535")
