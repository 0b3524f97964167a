"""The ruleset of a sandbox's network namespace, written in nf_tables' own messages.

None of it is a boundary: the namespace has nothing but loopback, and the only
ways out are listeners that the host serves. The rules lead what is meant for
elsewhere to those listeners and refuse the rest at once, audibly.

Sources: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
"""

import struct

from cloche_launch.netlink import (
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    Netlink,
    attribute,
    nested,
)

NFPROTO_INET = 1
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
_TABLE = attribute(1, b"cloche\0")

_META_NFPROTO, _META_L4PROTO = 15, 16
_TCP, _UDP, _IPV4, _IPV6 = b"\x06", b"\x11", b"\x02", b"\x0a"
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_ACCEPT = 1
_REJECT_TCP_RESET, _REJECT_ICMPX = 1, 2
_PORT_UNREACHABLE = 1  # NFT_REJECT_ICMPX_PORT_UNREACH
_HOOK_INPUT, _HOOK_OUTPUT = 1, 3
LOG_GROUP = 5


def _be32(number: int) -> bytes:
    return struct.pack(">I", number)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, attribute(1, name.encode() + b"\0"), nested(2, *attributes))


def _meta(key: int) -> bytes:
    return _expression("meta", attribute(2, _be32(key)), attribute(1, _be32(1)))


def _equals(data: bytes) -> bytes:
    return _expression(
        "cmp", attribute(1, _be32(1)), attribute(2, _be32(0)), nested(3, attribute(1, data))
    )


def _payload(base: int, offset: int, length: int) -> bytes:
    fields = ((1, 1), (2, base), (3, offset), (4, length))
    return _expression("payload", *(attribute(kind, _be32(value)) for kind, value in fields))


def _masked(mask: bytes) -> bytes:
    """Keep only the bits of `mask` of the loaded bytes."""
    return _expression(
        "bitwise",
        attribute(1, _be32(1)),
        attribute(2, _be32(1)),
        attribute(3, _be32(len(mask))),
        nested(4, attribute(1, mask)),
        nested(5, attribute(1, bytes(len(mask)))),
    )


def _accept() -> bytes:
    return _expression(
        "immediate", attribute(1, _be32(0)), nested(2, nested(2, attribute(1, _be32(_ACCEPT))))
    )


def _redirect(port: int) -> bytes:
    load = _expression(
        "immediate",
        attribute(1, _be32(1)),
        nested(2, attribute(1, struct.pack(">H", port) + b"\0\0")),
    )
    # NF_NAT_RANGE_PROTO_SPECIFIED: the port is in register 1
    return load + _expression("redir", attribute(1, _be32(1)), attribute(3, _be32(2)))


def _log() -> bytes:
    return _expression("log", attribute(1, struct.pack(">H", LOG_GROUP)), attribute(3, _be32(128)))


def _reject(kind: int, code: int) -> bytes:
    return _expression("reject", attribute(1, _be32(kind)), attribute(2, bytes([code])))


def _is(key: int, value: bytes) -> bytes:
    return _meta(key) + _equals(value)


def _to_port_53(protocol: bytes) -> bytes:
    return _is(_META_L4PROTO, protocol) + _payload(_TRANSPORT_HEADER, 2, 2) + _equals(b"\0\x35")


def chains(transparent_port: int) -> tuple[tuple[str, str, int, int, tuple[bytes, ...]], ...]:
    """Give (name, type, hook, priority, rules) of the two chains."""
    synthetic = (  # 198.18.0.0/15, where our resolver puts the names that are allowed
        _is(_META_NFPROTO, _IPV4)
        + _payload(_NETWORK_HEADER, 16, 4)
        + _masked(bytes((255, 254, 0, 0)))
        + _equals(bytes((198, 18, 0, 0)))
        + _is(_META_L4PROTO, _TCP)
    )
    nat = (
        _to_port_53(_UDP) + _redirect(53),  # also a resolver that a program has built in
        _to_port_53(_TCP) + _redirect(53),
        synthetic + _redirect(transparent_port),
    )
    # On input, not output: there a refusal is a plain "connection refused" at
    # once, while output gives EPERM to UDP and a second of waiting to IPv6.
    incoming = (
        _is(_META_NFPROTO, _IPV4) + _payload(_NETWORK_HEADER, 16, 1) + _equals(b"\x7f") + _accept(),
        _is(_META_NFPROTO, _IPV6)
        + _payload(_NETWORK_HEADER, 24, 16)
        + _equals(bytes(15) + b"\x01")
        + _accept(),
        _is(_META_NFPROTO, _IPV4)
        + _payload(_NETWORK_HEADER, 16, 4)
        + _equals(bytes((198, 18, 0, 1)))
        + _accept(),
        _is(_META_L4PROTO, _TCP) + _log() + _reject(_REJECT_TCP_RESET, 0),
        _log() + _reject(_REJECT_ICMPX, _PORT_UNREACHABLE),
    )
    return (
        ("nat", "nat", _HOOK_OUTPUT, -100, nat),
        ("refuse", "filter", _HOOK_INPUT, 0, incoming),
    )


def load(netlink: Netlink, transparent_port: int) -> None:
    """Load the ruleset in one batch: all of it or nothing. Raises OSError."""
    generic = struct.pack("=BBH", NFPROTO_INET, 0, 0)
    boundary = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
    messages = [netlink.message(_BATCH_BEGIN, 0, boundary)]
    count = 0

    def add(kind: int, flags: int, *attributes: bytes) -> None:
        nonlocal count
        count += 1
        body = generic + b"".join(attributes)
        messages.append(
            netlink.message((_SUBSYSTEM << 8) | kind, flags | NLM_F_ACK | NLM_F_CREATE, body)
        )

    add(_NEWTABLE, 0, _TABLE)
    for name, kind, hook, priority, rules in chains(transparent_port):
        label = name.encode() + b"\0"
        place = nested(4, attribute(1, _be32(hook)), attribute(2, struct.pack(">i", priority)))
        add(_NEWCHAIN, 0, _TABLE, attribute(3, label), place, attribute(7, kind.encode() + b"\0"))
        for rule in rules:
            add(_NEWRULE, NLM_F_APPEND, _TABLE, attribute(2, label), nested(4, rule))
    messages.append(netlink.message(_BATCH_END, 0, boundary))
    netlink.transact(messages, count)
