"""Attacks on the network: reaching what listens on the host, the ways out, and the kernel's protocols.

No packet leaves this machine, whatever is around the attack: listeners are the
bait's own, and a way to elsewhere is a question about routes.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct

from cloche_redteam import netlink
from cloche_redteam.attack import Unable, attack
from cloche_redteam.greeting import greeted, known, loaded, wanted

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_INET, _INET6, _STREAM, _DATAGRAM = (
    socket.AF_INET,
    socket.AF_INET6,
    socket.SOCK_STREAM,
    socket.SOCK_DGRAM,
)
_METADATA = "the breach of Capital One, 2019"
_SHARED_STACK = "CVE-2020-15257, containers that share the host's network"
_NETLINK_ROUTE, _NETLINK_DIAG = 0, 4
_PROXY_PORT = 3128  # where proxies listen since Squid
_NO_IPV6 = "no IPv6"


@attack("network", "the plainest of all: the host's loopback")
def connect_to_the_hosts_loopback(bait: "Bait") -> "str | None":
    """Connect to a listener on 127.0.0.1 of the host."""
    return greeted(socket.socket(_INET), ("127.0.0.1", int(bait["tcp_port"])), bait)


@attack("network", "filters that know IPv4 alone, CVE-2020-10749")
def connect_to_the_hosts_loopback_by_ipv6(bait: "Bait") -> "str | None":
    """Connect to a listener on ::1 of the host."""
    port = int(wanted(bait, "tcp6_port", _NO_IPV6))
    return greeted(socket.socket(_INET6), ("::1", port), bait)


@attack("network", "0.0.0.0-day, Oligo Security 2024")
def connect_to_the_address_of_zeros(bait: "Bait") -> "str | None":
    """Connect to 0.0.0.0, which means this machine and which lists of addresses forget."""
    return greeted(socket.socket(_INET), ("0.0.0.0", int(bait["tcp_port"])), bait)


@attack("network", "inet_aton's short forms, CVE-2024-29415")
def connect_to_the_loopback_written_short(bait: "Bait") -> "str | None":
    """Connect to 127.1, which a filter of texts does not know."""
    return greeted(socket.socket(_INET), ("127.1", int(bait["tcp_port"])), bait)


@attack("network", "all of 127.0.0.0/8 is loopback, RFC 1122")
def connect_to_another_loopback_address(bait: "Bait") -> "str | None":
    """Connect to 127.9.9.9, which is the host as well."""
    return greeted(socket.socket(_INET), ("127.9.9.9", int(bait["any_port"])), bait)


@attack("network", "IPv4 inside IPv6, CVE-2024-29415")
def connect_to_the_loopback_mapped_into_ipv6(bait: "Bait") -> "str | None":
    """Connect to ::ffff:127.0.0.1."""
    wanted(bait, "tcp6_port", _NO_IPV6)
    return greeted(socket.socket(_INET6), ("::ffff:127.0.0.1", int(bait["tcp_port"])), bait)


@attack("network", "names that resolve inward, DNS rebinding, 2007")
def connect_to_the_host_by_name(bait: "Bait") -> "str | None":
    """Connect to localhost by its name."""
    with socket.create_connection(("localhost", int(bait["tcp_port"])), 2) as made:
        return known(made.recv(64), bait)


@attack("network", "services bound to every address, CWE-1327")
def connect_to_the_hosts_own_address(bait: "Bait") -> "str | None":
    """Connect to the host by the address of its interface."""
    address = wanted(bait, "host_address", "no address but loopback")
    return greeted(socket.socket(_INET), (address, int(bait["any_port"])), bait)


@attack("network", "the plainest of all, over UDP")
def ask_a_service_of_the_host_over_udp(bait: "Bait") -> "str | None":
    """Send a datagram to a service on 127.0.0.1 of the host."""
    with socket.socket(_INET, _DATAGRAM) as made:
        made.settimeout(2)
        made.sendto(b"?", ("127.0.0.1", int(bait["udp_port"])))
        return known(made.recv(64), bait)


@attack("network", "TCP Fast Open passes Landlock by, landlock-lsm/linux#41")
def connect_by_sending(bait: "Bait") -> "str | None":
    """Connect to the host without connect(), by TCP Fast Open."""
    with socket.socket(_INET) as made:  # blocking: otherwise it is but begun
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 2, 0))
        made.sendto(b"?", socket.MSG_FASTOPEN, ("127.0.0.1", int(bait["tcp_port"])))
        return known(made.recv(64), bait)


@attack("network", "Landlock's rules of TCP pass MPTCP by, landlock-lsm/linux#54")
def connect_by_multipath(bait: "Bait") -> "str | None":
    """Connect to the host by MPTCP, which falls back to TCP."""
    try:
        made = socket.socket(_INET, _STREAM, 262)  # IPPROTO_MPTCP
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT and "MPTCP" not in loaded():
            raise Unable("this kernel has no MPTCP") from None
        raise
    return greeted(made, ("127.0.0.1", int(bait["tcp_port"])), bait)


@attack("network", "exfiltration by DNS, CVE-2025-55284")
def find_a_way_to_a_public_resolver(bait: "Bait") -> "str | None":
    """See whether a question to a resolver written into the program would leave."""
    return _way("8.8.8.8", "4", bait)


@attack("network", "filters that know IPv4 alone, CVE-2020-10749")
def find_a_way_to_a_public_resolver_by_ipv6(bait: "Bait") -> "str | None":
    """See whether a question to a resolver would leave by IPv6."""
    return _way("2001:4860:4860::8888", "6", bait)


@attack("network", _METADATA)
def find_a_way_to_the_clouds_metadata(bait: "Bait") -> "str | None":
    """See whether a request to 169.254.169.254, which hands out credentials, would leave."""
    return _way("169.254.169.254", "4", bait)


@attack("network", _METADATA)
def find_a_way_to_the_clouds_metadata_by_ipv6(bait: "Bait") -> "str | None":
    """See whether a request to fd00:ec2::254 would leave."""
    return _way("fd00:ec2::254", "6", bait)


@attack("network", "routers with their makers' passwords, drive-by pharming 2007")
def find_a_way_to_the_private_network(bait: "Bait") -> "str | None":
    """See whether a request to 192.168.1.1, often a router, would leave."""
    return _way("192.168.1.1", "4", bait)


@attack("network", "mDNS and SSDP name what is in the house, RFC 6762")
def find_a_way_to_everyone_near(bait: "Bait") -> "str | None":
    """See whether a datagram to the multicast group of mDNS would leave."""
    return _way("224.0.0.251", "4", bait)


@attack("network", "DHCP starvation and rogue answers, RFC 2131")
def find_a_way_to_broadcast(bait: "Bait") -> "str | None":
    """See whether a broadcast would leave."""
    return _way("255.255.255.255", "4", bait)


@attack("network", "proxies that reach inward, CWE-441")
def reach_the_host_by_connect_of_its_proxy(bait: "Bait") -> "str | None":
    """Have the sandbox's own proxy CONNECT to the host's loopback, written in many ways."""
    for host in _INWARD:
        said = _proxied(f"CONNECT {host}:{bait['tcp_port']} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        if known(said, bait):
            return f"the proxy led to {host}"
    return None


@attack("network", "server-side request forgery, CWE-918")
def reach_the_host_by_a_request_to_its_proxy(bait: "Bait") -> "str | None":
    """Have the sandbox's own proxy GET from the host's loopback, written in many ways."""
    for host in _INWARD:
        place = f"{host}:{bait['tcp_port']}"
        if known(_proxied(f"GET http://{place}/ HTTP/1.1\r\nHost: {place}\r\n\r\n"), bait):
            return f"the proxy asked {host}"
    return None


_INWARD = (
    *("127.0.0.1", "localhost", "localhost.", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"),
    *("0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.1%00.example.org"),
)


@attack("network", _SHARED_STACK)
def see_the_hosts_sockets_by_netlink(bait: "Bait") -> "str | None":
    """Ask sock_diag for every listener, and find the bait's."""
    request = struct.pack("=BBBBI", _INET, socket.IPPROTO_TCP, 0, 0, 1 << 10) + bytes(48)
    port = struct.pack(">H", int(bait["tcp_port"]))
    answers = netlink.ask(_NETLINK_DIAG, 20, request, dump=True)  # SOCK_DIAG_BY_FAMILY
    return "saw the bait's listener" if any(each[4:6] == port for each in answers) else None


@attack("network", _SHARED_STACK)
def see_the_hosts_sockets_in_proc(bait: "Bait") -> "str | None":
    """Find the bait's listener in /proc/net/tcp."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        seen = f"0100007F:{int(bait['tcp_port']):04X} 00000000:0000 0A" in file.read()
    return "saw the bait's listener" if seen else None


@attack("network", _SHARED_STACK)
def see_the_hosts_unix_sockets_in_proc(bait: "Bait") -> "str | None":
    """Find the bait's sockets in /proc/net/unix, which names every service of the host."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        return "saw the bait's listener" if bait["abstract_socket"] in file.read() else None


@attack("network", "mapping the network before the next step, ATT&CK T1016")
def see_the_hosts_addresses_by_netlink(bait: "Bait") -> "str | None":
    """Ask for every address, and find the host's."""
    address = wanted(bait, "host_address", "no address but loopback")
    return f"saw {address}" if socket.inet_aton(address) in netlink.addresses() else None


@attack("network", "mapping the network before the next step, ATT&CK T1016")
def see_the_hosts_addresses_in_proc(bait: "Bait") -> "str | None":
    """Find the host's address in /proc/net/fib_trie."""
    address = wanted(bait, "host_address", "no address but loopback")
    with open("/proc/net/fib_trie", encoding="ascii") as file:
        return f"saw {address}" if f"-- {address}\n" in file.read() else None


@attack("network", "an interface's address names the machine, ATT&CK T1016")
def see_the_hosts_interface_in_sys(bait: "Bait") -> "str | None":
    """Find the hardware address of the host's interface in /sys."""
    wanted(bait, "hardware", "no interface with an address of its own")
    with open(f"/sys/class/net/{bait['interface']}/address", encoding="ascii") as file:
        return "it is the host's" if file.read().strip() == bait["hardware"] else None


@attack("network", "posing as a service of the host, CWE-605")
def serve_on_the_hosts_own_address(bait: "Bait") -> "str | None":
    """Bind a port of the host's own address, where others would come."""
    address = wanted(bait, "host_address", "no address but loopback")
    with socket.socket(_INET) as made:
        made.bind((address, 0))
        port = made.getsockname()[1]
    # A namespace of its own may take every address for local: that serves nobody of the host.
    same = os.readlink("/proc/self/ns/net") in bait["namespaces"].split(",")
    return f"{address}:{port} was free to take" if same else None


@attack("network", "posing as a service of the system, CWE-605")
def bind_a_privileged_port(bait: "Bait") -> "str | None":
    """Bind a port below 1024 on loopback."""
    del bait
    for port in range(1023, 1000, -1):
        with contextlib.suppress(OSError), socket.socket(_INET) as made:
            made.bind(("127.0.0.1", port))
            return f"bound port {port}"
    return None


@attack("network", "leaving by an interface of one's choice, VPN leaks")
def choose_the_hosts_interface(bait: "Bait") -> "str | None":
    """Tie a socket to the host's own interface, past its routes."""
    wanted(bait, "hardware", "no interface with an address of its own")
    with open(f"/sys/class/net/{bait['interface']}/address", encoding="ascii") as file:
        same = file.read().strip() == bait["hardware"]
    with socket.socket(_INET, _DATAGRAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bait["interface"].encode())
    return f"tied to {bait['interface']}" if same else None


@attack("network", "leaving past the routes of a VPN, SO_MARK")
def mark_packets(bait: "Bait") -> "str | None":
    """Set the mark by which the host's rules choose routes and let packets by."""
    del bait
    return _option(socket.SOL_SOCKET, socket.SO_MARK)


@attack("network", "spoofing without a raw socket, IP_TRANSPARENT")
def speak_from_any_address(bait: "Bait") -> "str | None":
    """Get the right to send from addresses that are another's."""
    del bait
    return _option(socket.IPPROTO_IP, 19)  # IP_TRANSPARENT


@attack("network", "hijacking connections, TCP_REPAIR")
def forge_a_connection(bait: "Bait") -> "str | None":
    """Get the right to make a TCP connection of made-up sequence numbers."""
    del bait
    return _option(socket.IPPROTO_TCP, 19)  # TCP_REPAIR


@attack("network", "CVE-2023-3776, traffic control by rights over a namespace")
def change_routes(bait: "Bait") -> "str | None":
    """Send a route of nonsense: whoever may not change routes is refused before it is read."""
    del bait
    return _judged(_NETLINK_ROUTE, 24)  # RTM_NEWROUTE


@attack("network", "adversary in the middle, ATT&CK T1557")
def change_interfaces(bait: "Bait") -> "str | None":
    """Send an address of nonsense: whoever may not change interfaces is refused before."""
    del bait
    return _judged(_NETLINK_ROUTE, 20)  # RTM_NEWADDR


@attack("network", "a network interface of one's own, CVE-2023-3812")
def open_the_tunnel_device(bait: "Bait") -> "str | None":
    """Open /dev/net/tun and ask what it can; no interface is made."""
    with open(wanted(bait, "tunnel", "no tunnel device"), "rb", buffering=0) as file:
        fcntl.ioctl(file, 0x800454CF, bytearray(4))  # TUNGETFEATURES
    return "it told its features"


def _way(address: str, version: str, bait: "Bait") -> "str | None":
    try:
        interface = netlink.leaves_by(address)
    except OSError:
        if version not in bait["routes"]:
            raise Unable(f"the host itself has no way out by IPv{version}") from None
        raise
    return f"it would leave by {interface}" if interface else None


def _proxied(request: str) -> bytes:
    """Say something to the proxy on loopback, and what it answers; Unable where there is none."""
    with socket.socket(_INET) as made:
        made.settimeout(2)
        try:
            made.connect(("127.0.0.1", _PROXY_PORT))
        except ConnectionRefusedError:
            raise Unable(f"nothing that proxies listens on port {_PROXY_PORT}") from None
        said = b""
        with contextlib.suppress(OSError):
            made.sendall(request.encode())
            while block := made.recv(4096):
                said += block
        return said


def _option(level: int, name: int) -> str:
    with socket.socket(_INET) as made:
        made.setsockopt(level, name, 1)
    return "the option was set"


def _judged(protocol: int, kind: int) -> str:
    try:
        netlink.ask(protocol, kind, b"\xff" * 4)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise
    return "the kernel read it"
