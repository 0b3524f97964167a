"""Names and ports against rules: pure."""

import re

from cloche.egress.denial import Refused
from cloche.errors import InvalidValue
from cloche.model.hosts import HostRule, canonical_host, is_address

_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]@/?#\s]+)(?::([0-9]{1,5}))?\Z")


def rule_for(rules: tuple[HostRule, ...], host: str, port: int) -> HostRule:
    """Give the rule that allows the canonical `host` or address at `port`. Raises Refused."""
    named = [rule for rule in rules if rule.pattern.matches(host)]
    for rule in named:
        if port in rule.ports:
            return rule
    if named:
        raise Refused(
            f"{named[0].origin}.ports",
            f"connect {host}:{port}",
            f"add port {port} to {named[0].origin}",
        )
    if is_address(host):
        remedy = "connect by name, and allow the name"
        raise Refused("network.ip_literal", f"connect {host}:{port}", remedy)
    raise Refused("network.default", f"connect {host}:{port}", allowing(host, port))


def allowing(host: str, port: int) -> str:
    """Give the smallest rule that would allow a connection."""
    return f"add {{host: {host}, ports: [{port}]}} to network.allow in the policy"


def is_named(rules: tuple[HostRule, ...], host: str) -> bool:
    """Tell whether any rule names `host`, whatever the port."""
    return any(rule.pattern.matches(host) for rule in rules)


def written(host: str, port: int) -> str:
    """Give host and port as an authority of RFC 3986: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(text: str) -> str:
    """Give the canonical form of a name or address a client sent. Raises Refused for odd forms."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_address(bare):
        return bare  # no rule but one of the user's own configuration can name it
    try:
        return canonical_host(text)
    except InvalidValue as error:
        raise Refused("network.malformed", f"host {text[:80]!r}") from error


def authority(text: str, default: int = 0) -> tuple[str, int]:
    """Split host[:port] strictly. Raises Refused."""
    match = _AUTHORITY.match(text)
    if match is None:
        raise Refused("network.malformed", f"authority {text[:80]!r}")
    port = int(match[2]) if match[2] else default
    if not 0 < port < 65536:
        raise Refused("network.malformed", f"port in {text[:80]!r}")
    return host_of(match[1]), port
