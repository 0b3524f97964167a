"""Questions to the kernel's network over netlink; nothing here sends a packet or changes a thing."""

import os
import socket
import struct

# linux/netlink.h, linux/rtnetlink.h
_NLM_F_REQUEST = 1
_NLM_F_DUMP = 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_GETADDR, _RTM_GETROUTE = 22, 26
_RTN_UNICAST, _RTN_MULTICAST, _RTN_BROADCAST = 1, 5, 3
_RTA_DST, _RTA_OIF = 1, 4
_LOOPBACK = 1  # the first interface of every network namespace


def ask(protocol: int, kind: int, body: bytes, *, dump: bool = False) -> "list[bytes]":
    """Give the bodies of the answers to one message. Raises OSError with the kernel's own refusal."""
    flags = _NLM_F_REQUEST | (_NLM_F_DUMP if dump else 0)
    found: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as made:
        made.settimeout(2)
        made.bind((0, 0))
        made.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        while True:
            block = made.recv(1 << 20)
            while len(block) >= 16:
                length, said = struct.unpack_from("=IH", block)
                if said == _NLMSG_ERROR:
                    _refuse(-struct.unpack_from("=i", block, 16)[0])
                    return found
                if said == _NLMSG_DONE:
                    return found
                found.append(block[16:length])
                block = block[(length + 3) & ~3 :]
            if not dump:
                return found


def leaves_by(address: str) -> str:
    """Give the interface by which a packet to `address` would leave, "" when it would stay on loopback.

    Raises OSError where there is no way at all. connect() of UDP sends nothing.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        made.connect((address, 53))
    packed = socket.inet_pton(family, address)
    body = struct.pack("=BBBBBBBBI", family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += struct.pack("=HH", 4 + len(packed), _RTA_DST) + packed
    for answer in ask(0, _RTM_GETROUTE, body):
        index = dict(_attributes(answer[12:])).get(_RTA_OIF, b"\0\0\0\0")
        interface = int(struct.unpack("=I", index)[0])
        if answer[7] in (_RTN_UNICAST, _RTN_MULTICAST, _RTN_BROADCAST) and interface > _LOOPBACK:
            return socket.if_indextoname(interface)
    return ""


def addresses() -> "list[bytes]":
    """Give every address of every interface, packed."""
    answers = ask(0, _RTM_GETADDR, bytes(8), dump=True)
    return [value for each in answers for _, value in _attributes(each[8:])]


def _attributes(block: bytes) -> "list[tuple[int, bytes]]":
    found = []
    while len(block) >= 4:
        length, kind = struct.unpack_from("=HH", block)
        if length < 4:
            break
        found.append((kind, block[4:length]))
        block = block[(length + 3) & ~3 :]
    return found


def _refuse(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
