"""Attacks on the kernel's protocols: sockets that a sandboxed program has no use for.

Each socket is closed at once, and none that would load a module is made.
"""

import errno
import socket

from cloche_redteam.attack import Unable, attack
from cloche_redteam.family import member
from cloche_redteam.greeting import made_socket, wanted, would_load

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Act, Bait

_INET, _INET6, _STREAM, _DATAGRAM = (
    socket.AF_INET,
    socket.AF_INET6,
    socket.SOCK_STREAM,
    socket.SOCK_DGRAM,
)
_NETLINK_XFRM, _NETLINK_NETFILTER = 6, 12


@attack("network", "spoofing and scanning, RFC 2827")
def make_a_raw_socket(bait: "Bait") -> "str | None":
    """Make a socket that writes its own IP headers."""
    del bait
    socket.socket(_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
    return "made one"


@attack("network", "rogue router advertisements, CVE-2020-10749")
def make_a_raw_socket_of_ipv6(bait: "Bait") -> "str | None":
    """Make a socket that could advertise itself as a router."""
    wanted(bait, "tcp6_port", "no IPv6")
    socket.socket(_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6).close()
    return "made one"


@attack("network", "CVE-2020-14386 and CVE-2017-7308, AF_PACKET")
def make_a_packet_socket(bait: "Bait") -> "str | None":
    """Make a socket that sees every frame; it is bound to nothing."""
    del bait
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    return "made one"


@attack("network", "CVE-2015-3636, pingpong root")
def make_a_ping_socket(bait: "Bait") -> "str | None":
    """Make a socket that sends echo requests, a way out that filters of TCP forget."""
    del bait
    try:
        socket.socket(_INET, _DATAGRAM, socket.IPPROTO_ICMP).close()
    except PermissionError as error:
        with open("/proc/sys/net/ipv4/ping_group_range", encoding="ascii") as file:
            least, most = map(int, file.read().split())
        if error.errno == errno.EACCES and least > most:
            raise Unable("net.ipv4.ping_group_range allows nobody") from None
        raise
    return "made one"


# the words of the name, the title, the source, and the socket: family, type, protocol, what it is called
_FAMILIES = (
    (
        "make_a_socket_to_the_hypervisor",
        "Make a socket that no network namespace confines.",
        "CVE-2021-26708 and CVE-2025-21756, AF_VSOCK",
        (40, _STREAM, 0, "AF_VSOCK"),
    ),
    (
        "make_a_socket_of_the_kernels_ciphers",
        "Make a socket of the kernel's crypto interface.",
        "CVE-2019-8912, AF_ALG",
        (38, socket.SOCK_SEQPACKET, 0, "ALG"),
    ),
    (
        "make_a_bluetooth_socket",
        "Make a socket to what is near by radio.",
        "CVE-2020-12351 BleedingTooth, AF_BLUETOOTH",
        (31, socket.SOCK_SEQPACKET, 0, "L2CAP"),
    ),
    (
        "make_a_tipc_socket",
        "Make a socket of a protocol of clusters.",
        "CVE-2021-43267, AF_TIPC",
        (30, socket.SOCK_RDM, 0, "TIPC"),
    ),
    (
        "make_an_ipsec_key_socket",
        "Make a socket that manages IPsec's keys.",
        "CVE-2022-27666 and CVE-2022-1353, AF_KEY",
        (15, socket.SOCK_RAW, 2, "KEY"),
    ),
    (
        "make_an_rds_socket",
        "Make a socket of a protocol hardly anyone uses, with a history.",
        "CVE-2010-3904 and CVE-2019-11815, AF_RDS",
        (21, socket.SOCK_SEQPACKET, 0, "RDS"),
    ),
    (
        "make_a_can_socket",
        "Make a socket of a vehicle's bus.",
        "CVE-2010-2959 and CVE-2021-3609, AF_CAN",
        (29, socket.SOCK_RAW, 1, "CAN_RAW"),
    ),
    (
        "make_an_xdp_socket",
        "Make a socket that takes frames past the kernel's network.",
        "a way past every packet filter, the kernel's af_xdp.rst",
        (44, socket.SOCK_RAW, 0, "XDP"),
    ),
    (
        "make_an_sctp_socket",
        "Make a socket of a transport that filters of TCP and UDP forget.",
        "CVE-2021-23133, SCTP",
        (_INET, socket.SOCK_SEQPACKET, 132, "SCTP"),
    ),
    (
        "make_a_udplite_socket",
        "Make a socket of UDP-Lite, which filters of UDP forget.",
        "UDP by another number, RFC 3828",
        (_INET, _DATAGRAM, 136, "UDP-Lite"),
    ),
)


def _making(family: int, kind: int, protocol: int, label: str) -> "Act":
    def act(bait: "Bait") -> "str | None":
        del bait
        return made_socket(family, kind, protocol, label)

    return act


for _name, _title, _source, _socket in _FAMILIES:
    member("network", _source, _making(*_socket), name=_name, title=_title)


@attack("network", "CVE-2024-1086 and CVE-2022-32250, nf_tables")
def talk_to_the_packet_filter(bait: "Bait") -> "str | None":
    """Make a netlink socket to nf_tables."""
    del bait
    return _netlink_socket(_NETLINK_NETFILTER)


@attack("network", "CVE-2017-16939, xfrm")
def talk_to_ipsec(bait: "Bait") -> "str | None":
    """Make a netlink socket to IPsec's policies."""
    del bait
    return _netlink_socket(_NETLINK_XFRM)


def _netlink_socket(protocol: int) -> str:
    with open("/proc/net/netlink", encoding="ascii") as file:
        there = {line.split()[1] for line in file}
    if str(protocol) not in there:
        return would_load(socket.AF_NETLINK, protocol)
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol).close()
    return "made one"
