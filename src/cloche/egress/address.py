"""Which addresses may be connected to: only public ones, whatever the name that led there."""

import ipaddress

from cloche.egress.denial import Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# An explicit table: is_global says True for some of these, and differs between patch releases.
# Source: the IANA special-purpose address registries.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ]
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def unwrap(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 one carries, where it carries one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if int(address) >> 32 == 0 and int(address) > 1:  # v4-compatible, ::a.b.c.d
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def judge(text: str, trusted: tuple[str, ...]) -> None:
    """Raise Refused unless the address is public, or pinned as trusted for this name."""
    if text in trusted:
        return
    address = unwrap(ipaddress.ip_address(text.split("%", maxsplit=1)[0]))
    special = any(address in network for network in _SPECIAL if network.version == address.version)
    if special or not address.is_global or address.is_multicast:
        raise Refused(
            "network.private",
            f"it resolves to {address}, which is not public",
            f"add trusted_addresses: [{address}] to its rule, if you mean that machine",
        )
