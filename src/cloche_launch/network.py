"""Furnishing the sandbox's network namespace, and the sockets that the host serves.

A socket belongs to the namespace it was made in, whoever holds it: the host
accepts, resolves and relays on these, and no helper runs inside.
"""

import socket
import struct

from cloche_launch import nftables
from cloche_launch.netlink import (
    NETLINK_NETFILTER,
    NETLINK_ROUTE,
    NLM_F_ACK,
    Netlink,
    add_address,
    attribute,
    link_up,
    route_everything_to_loopback,
)

OWN_ADDRESS = "198.18.0.1"  # a global-looking address, so that AI_ADDRCONFIG finds IPv4 usable
PROXY_PORT = 3128
TRANSPARENT_PORT = 3129
_BACKLOG = 1024
# linux/netfilter/nfnetlink_log.h
_NFULNL_MSG_CONFIG = (4 << 8) | 1
_NFULA_CFG_CMD, _NFULA_CFG_MODE, _NFULA_CFG_QTHRESH = 1, 2, 5
_NFULNL_CFG_CMD_BIND = b"\x01"
_NFULNL_COPY_PACKET = 2


def furnish(*, observed: bool) -> tuple[list[tuple[str, socket.socket]], str]:
    """Give ([(name, socket)], level): what the host serves, and how far the rules go.

    Runs inside the new namespace with every capability over it. Levels: "bare"
    (loopback only), "redirect" (any program's attempts reach us), "listeners"
    (the kernel gave no nf_tables: only programs that use the resolver or proxy do).
    """
    route = Netlink(NETLINK_ROUTE)
    try:
        route.transact([link_up(route)], 1)
        if not observed:
            return [], "bare"
        messages = [
            add_address(route, OWN_ADDRESS),
            route_everything_to_loopback(route, socket.AF_INET, OWN_ADDRESS),
            route_everything_to_loopback(route, socket.AF_INET6),
        ]
        route.transact(messages, len(messages))
    finally:
        route.socket.close()
    sockets = _listeners()
    level = "redirect"
    try:
        log = _refusals()
        sockets.append(("nflog", log))
    except OSError:
        level = "listeners"
    return sockets, level


def _refusals() -> socket.socket:
    """Load the rules, and give the socket on which each refused packet is heard."""
    rules = Netlink(NETLINK_NETFILTER)
    nftables.load(rules, TRANSPARENT_PORT)
    group = struct.pack(">BBH", 0, 0, nftables.LOG_GROUP)
    bind = rules.message(
        _NFULNL_MSG_CONFIG, NLM_F_ACK, group + attribute(_NFULA_CFG_CMD, _NFULNL_CFG_CMD_BIND)
    )
    rules.transact([bind], 1)
    mode = attribute(_NFULA_CFG_MODE, struct.pack(">IBB", 128, _NFULNL_COPY_PACKET, 0))
    # One packet a message: by default the kernel keeps them back for up to a second.
    at_once = attribute(_NFULA_CFG_QTHRESH, struct.pack(">I", 1))
    rules.transact([rules.message(_NFULNL_MSG_CONFIG, NLM_F_ACK, group + mode + at_once)], 1)
    return rules.socket


def _listeners() -> list[tuple[str, socket.socket]]:
    return [
        ("proxy", _listen(socket.AF_INET, "127.0.0.1", PROXY_PORT)),
        ("tcp4", _listen(socket.AF_INET, "127.0.0.1", TRANSPARENT_PORT)),
        ("tcp6", _listen(socket.AF_INET6, "::1", TRANSPARENT_PORT)),
        ("dns-tcp", _listen(socket.AF_INET, "127.0.0.1", 53)),
        ("dns-udp", _bound(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1", 53)),
    ]


def _listen(family: int, address: str, port: int) -> socket.socket:
    listener = _bound(family, socket.SOCK_STREAM, address, port)
    listener.listen(_BACKLOG)
    return listener


def _bound(family: int, kind: int, address: str, port: int) -> socket.socket:
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    if kind == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made
