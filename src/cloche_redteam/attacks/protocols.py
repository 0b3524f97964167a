"""Attacks on the kernel's protocols: sockets that a sandboxed program has no use for.

Each socket is closed at once, and none that would load a module is made.
"""

import errno
import socket

from cloche_redteam.attack import Unable, attack
from cloche_redteam.greeting import made_socket, wanted, would_load

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

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


@attack("network", "CVE-2021-26708 and CVE-2025-21756, AF_VSOCK")
def make_a_socket_to_the_hypervisor(bait: "Bait") -> "str | None":
    """Make a socket that no network namespace confines."""
    del bait
    return made_socket(40, _STREAM, 0, "AF_VSOCK")


@attack("network", "CVE-2019-8912, AF_ALG")
def make_a_socket_of_the_kernels_ciphers(bait: "Bait") -> "str | None":
    """Make a socket of the kernel's crypto interface."""
    del bait
    return made_socket(38, socket.SOCK_SEQPACKET, 0, "ALG")


@attack("network", "CVE-2020-12351 BleedingTooth, AF_BLUETOOTH")
def make_a_bluetooth_socket(bait: "Bait") -> "str | None":
    """Make a socket to what is near by radio."""
    del bait
    return made_socket(31, socket.SOCK_SEQPACKET, 0, "L2CAP")


@attack("network", "CVE-2021-43267, AF_TIPC")
def make_a_tipc_socket(bait: "Bait") -> "str | None":
    """Make a socket of a protocol of clusters."""
    del bait
    return made_socket(30, socket.SOCK_RDM, 0, "TIPC")


@attack("network", "CVE-2022-27666 and CVE-2022-1353, AF_KEY")
def make_an_ipsec_key_socket(bait: "Bait") -> "str | None":
    """Make a socket that manages IPsec's keys."""
    del bait
    return made_socket(15, socket.SOCK_RAW, 2, "KEY")


@attack("network", "CVE-2010-3904 and CVE-2019-11815, AF_RDS")
def make_an_rds_socket(bait: "Bait") -> "str | None":
    """Make a socket of a protocol hardly anyone uses, with a history."""
    del bait
    return made_socket(21, socket.SOCK_SEQPACKET, 0, "RDS")


@attack("network", "CVE-2010-2959 and CVE-2021-3609, AF_CAN")
def make_a_can_socket(bait: "Bait") -> "str | None":
    """Make a socket of a vehicle's bus."""
    del bait
    return made_socket(29, socket.SOCK_RAW, 1, "CAN_RAW")


@attack("network", "a way past every packet filter, the kernel's af_xdp.rst")
def make_an_xdp_socket(bait: "Bait") -> "str | None":
    """Make a socket that takes frames past the kernel's network."""
    del bait
    return made_socket(44, socket.SOCK_RAW, 0, "XDP")


@attack("network", "CVE-2021-23133, SCTP")
def make_an_sctp_socket(bait: "Bait") -> "str | None":
    """Make a socket of a transport that filters of TCP and UDP forget."""
    del bait
    return made_socket(_INET, socket.SOCK_SEQPACKET, 132, "SCTP")


@attack("network", "UDP by another number, RFC 3828")
def make_a_udplite_socket(bait: "Bait") -> "str | None":
    """Make a socket of UDP-Lite, which filters of UDP forget."""
    del bait
    return made_socket(_INET, _DATAGRAM, 136, "UDP-Lite")


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
