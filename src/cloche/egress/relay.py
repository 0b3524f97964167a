"""Moving bytes between two sockets, counted against a budget, half-closes passed on."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

from cloche.egress.denial import Refused

CHUNK = 256 * 1024


class Budget:
    """How many bytes a sandbox may still move; shared by all its connections."""

    def __init__(
        self,
        most: int,
        moved: Callable[[str, int], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Count to `most`; `ended` is called once, when somebody wants more."""
        self._left = most
        self._most = most
        self._moved = moved
        self._ended = ended
        self.is_over = False

    def spend(self, host: str, count: int) -> None:
        """Count bytes. Raises Refused when they are more than is left: they must not be sent."""
        if count > self._left:
            if not self.is_over:
                self.is_over = True
                self._ended()
            raise Refused(
                "network.max_bytes",
                f"move more than {self._most} bytes",
                "raise limits.network_bytes in the policy",
            )
        self._left -= count
        self._moved(host, count)


Words = Callable[[], Awaitable[bytes]]
"""Gives the first bytes of a side once they may be sent on; b"" when there are none."""


async def relay(
    inner: socket.socket,
    outer: socket.socket,
    host: str,
    budget: Budget,
    first: Words | None = None,
) -> None:
    """Carry bytes both ways until both sides are done. Raises Refused when the budget or `first` does."""
    ways = [
        asyncio.create_task(_pump(inner, outer, host, budget, first)),
        asyncio.create_task(_pump(outer, inner, host, budget)),
    ]
    try:
        await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pump(
    source: socket.socket,
    sink: socket.socket,
    host: str,
    budget: Budget,
    first: Words | None = None,
) -> None:
    loop = asyncio.get_running_loop()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with contextlib.suppress(OSError):
        if first is not None:
            words = await first()
            budget.spend(host, len(words))
            await loop.sock_sendall(sink, words)
        while count := await loop.sock_recv_into(source, buffer):
            budget.spend(host, count)
            await loop.sock_sendall(sink, view[:count])
        # Pass the half-close on: git and others wait for it.
        sink.shutdown(socket.SHUT_WR)
        return
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    """Close with RST: nothing we could write would be taken for the other side's words."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
