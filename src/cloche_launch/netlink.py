"""Raw netlink: just enough to bring up loopback, add routes, and load a ruleset.

Sources: netlink(7), rtnetlink(7), linux/rtnetlink.h, linux/netlink.h.
"""

import os
import socket
import struct

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLMSG_ERROR = 2
NLA_F_NESTED = 0x8000

RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 20, 24
IFF_UP = 1
LOOPBACK = 1  # the interface index of lo in every network namespace

IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_PREFSRC = 1, 4, 7
RT_TABLE_LOCAL, RTPROT_STATIC, RTN_LOCAL = 255, 4, 2
RT_SCOPE_HOST, RT_SCOPE_UNIVERSE = 254, 0


def attribute(kind: int, data: bytes = b"") -> bytes:
    """Give one attribute, padded to four bytes."""
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + bytes(-length % 4)


def nested(kind: int, *children: bytes) -> bytes:
    """Give an attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(children))


class Netlink:
    """A netlink socket that sends batches and waits for every acknowledgement."""

    def __init__(self, protocol: int) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self.socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        self.socket.bind((0, 0))
        self._sequence = 1

    def message(self, kind: int, flags: int, body: bytes) -> bytes:
        """Give one message, numbered."""
        self._sequence += 1
        header = struct.pack(
            "=IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST, self._sequence, 0
        )
        return header + body

    def transact(self, messages: list[bytes], acknowledgements: int) -> None:
        """Send all in one datagram; raise OSError for the first refusal."""
        self.socket.send(b"".join(messages))
        received = 0
        while received < acknowledgements:
            data = self.socket.recv(65_536)
            offset = 0
            while offset < len(data):
                length, kind = struct.unpack_from("=IH", data, offset)
                if kind == NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", data, offset + 16)
                    if code:
                        raise OSError(-code, os.strerror(-code), "netlink")
                    received += 1
                offset += (length + 3) & ~3


def link_up(netlink: Netlink) -> bytes:
    """Bring loopback up; the kernel adds 127.0.0.1/8 and ::1 by itself."""
    body = struct.pack("=BxHiII", 0, 0, LOOPBACK, IFF_UP, IFF_UP)
    return netlink.message(RTM_NEWLINK, NLM_F_ACK, body)


def add_address(netlink: Netlink, address: str) -> bytes:
    """Give loopback one more IPv4 address."""
    packed = socket.inet_aton(address)
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, LOOPBACK)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    return netlink.message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, body)


def route_everything_to_loopback(netlink: Netlink, family: int, source: str = "") -> bytes:
    """Make every destination of a family local, so that each attempt meets our rules.

    Without a preferred source, source and destination of a connection would
    be equal, and the replies would meet the rules meant for strangers.
    """
    scope = RT_SCOPE_HOST if family == socket.AF_INET else RT_SCOPE_UNIVERSE
    body = struct.pack("=8BI", family, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, scope, RTN_LOCAL, 0)
    body += attribute(RTA_OIF, struct.pack("=i", LOOPBACK))
    if source:
        body += attribute(RTA_PREFSRC, socket.inet_pton(family, source))
    return netlink.message(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, body)
