"""Packets that the kernel refused and logged: for whom they were."""

import ipaddress
import struct

from cloche.egress.nflog import refused_packets


def logged(packet: bytes) -> bytes:
    attribute = struct.pack("=HH", 4 + len(packet), 9) + packet
    attribute += bytes(-len(attribute) % 4)
    body = struct.pack(">BBH", 2, 0, 5) + attribute
    return struct.pack("=IHHII", 16 + len(body), 0x400, 0, 0, 0) + body


def ipv4(protocol: int, address: str, port: int, options: int = 0) -> bytes:
    header = bytes([0x45 + options]) + bytes(8) + bytes([protocol]) + bytes(6)
    header += ipaddress.IPv4Address(address).packed + bytes(options * 4)
    return header + struct.pack(">HH", 40_000, port)


def ipv6(protocol: int, address: str, port: int) -> bytes:
    header = b"\x60" + bytes(5) + bytes([protocol, 64]) + bytes(16)
    return header + ipaddress.IPv6Address(address).packed + struct.pack(">HH", 40_000, port)


def test_targets_are_read() -> None:
    data = (
        logged(ipv4(6, "203.0.113.7", 443))
        + logged(ipv4(17, "203.0.113.8", 53, options=2))
        + logged(ipv6(6, "2001:db8::7", 80))
        + logged(ipv4(1, "203.0.113.9", 0))
        + logged(ipv4(136, "203.0.113.9", 0))
    )
    assert refused_packets(data) == [
        ("tcp", "203.0.113.7", 443),
        ("udp", "203.0.113.8", 53),
        ("tcp", "2001:db8::7", 80),
        ("icmp", "203.0.113.9", 0),
        ("protocol 136", "203.0.113.9", 0),
    ]


def test_what_is_cut_short_is_left_out() -> None:
    data = logged(ipv4(6, "203.0.113.7", 443))
    for cut in range(len(data)):
        refused_packets(data[:cut])
    assert refused_packets(b"") == []
    assert refused_packets(logged(b"")) == []
    assert refused_packets(logged(b"\x45")) == []
