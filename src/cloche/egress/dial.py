"""Connecting out: resolved once, every address judged, the judged address dialled."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from cloche.egress.address import judge
from cloche.egress.denial import Refused
from cloche.egress.upstream import UpstreamProxy
from cloche.model.hosts import HostRule

_CONNECT_SECONDS = 20.0
_LONGEST_ANSWER = 8192

Lookup = Callable[[str, int], Awaitable[list[tuple[int, str]]]]
"""Name and port to (address family, address) pairs."""


async def system_lookup(host: str, port: int) -> list[tuple[int, str]]:
    """Ask the host's own resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), str(place[0])) for family, _, _, _, place in found]


async def dial(
    host: str, port: int, rule: HostRule, upstream: UpstreamProxy | None, lookup: Lookup
) -> socket.socket:
    """Give a connected socket. Raises Refused, OSError."""
    if upstream is not None and upstream.serves(host):
        return await _through(upstream, host, port, lookup)
    addresses = await lookup(host, port)
    for _, address in addresses:
        # One address that is not allowed poisons the answer: the name is not what it seems.
        try:
            judge(address, rule.trusted_addresses)
        except Refused as refusal:
            tried = f"connect {host}:{port}: {refusal.tried}"
            raise Refused(refusal.rule, tried, refusal.remedy) from refusal
    return await _connect(addresses, port)


async def _connect(addresses: list[tuple[int, str]], port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure = OSError("the name has no address")
    for family, address in addresses:
        outer = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.wait_for(loop.sock_connect(outer, (address, port)), _CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            outer.close()
            failure = error
        except BaseException:
            outer.close()
            raise
        else:
            outer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return outer
    raise failure


async def _through(upstream: UpstreamProxy, host: str, port: int, lookup: Lookup) -> socket.socket:
    """Open a tunnel through the user's own proxy, which does the looking up."""
    outer = await _connect(await lookup(upstream.host, upstream.port), upstream.port)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(outer, upstream.request(host, port))
        answer = b""
        while b"\r\n\r\n" not in answer:
            # One byte at a time: what follows the head belongs to the tunnel.
            block = await asyncio.wait_for(loop.sock_recv(outer, 1), _CONNECT_SECONDS)
            if not block or len(answer) > _LONGEST_ANSWER:
                raise OSError("the proxy of your configuration hung up")
            answer += block
        status = answer.split(b" ", 2)[1:2]
        if status != [b"200"]:
            first = answer.split(b"\r\n", 1)[0][:100].decode("latin-1")
            raise OSError(f"the proxy of your configuration refused: {first}")
    except BaseException:
        outer.close()
        raise
    return outer
