"""Refused packets, as the kernel logs them: who was it meant for. linux/netfilter/nfnetlink_log.h."""

import ipaddress
import struct

_NFULA_PAYLOAD = 9
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}


def refused_packets(data: bytes) -> list[tuple[str, str, int]]:
    """Give (protocol, address, port) of each packet in a datagram of log messages."""
    found = []
    offset = 0
    while offset + 16 <= len(data):
        (length,) = struct.unpack_from("=I", data, offset)
        if length < 20:
            break
        packet = _payload(data[offset + 20 : offset + length])
        if packet and (target := _target(packet)) is not None:
            found.append(target)
        offset += (length + 3) & ~3
    return found


def _payload(attributes: bytes) -> bytes:
    offset = 0
    while offset + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, offset)
        if length < 4:
            break
        if kind & 0x7FFF == _NFULA_PAYLOAD:
            return attributes[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return b""


def _target(packet: bytes) -> tuple[str, str, int] | None:
    version = packet[0] >> 4
    if version == 4 and len(packet) >= 20:
        number, header = packet[9], (packet[0] & 15) * 4
        address = str(ipaddress.IPv4Address(packet[16:20]))
    elif version == 6 and len(packet) >= 40:
        number, header = packet[6], 40
        address = str(ipaddress.IPv6Address(packet[24:40]))
    else:
        return None
    port = 0
    if number in (6, 17) and len(packet) >= header + 4:
        (port,) = struct.unpack_from(">H", packet, header + 2)
    return _PROTOCOLS.get(number, f"protocol {number}"), address, port
