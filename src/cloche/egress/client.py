"""A connection from inside, while its first words are read: everything on it is hostile."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable

from cloche.egress.denial import Refused
from cloche.egress.http_head import LONGEST_HEAD
from cloche.egress.relay import reset
from cloche.egress.tls import Hello, HelloReader
from cloche.model.hosts import is_address

_HEAD_SECONDS = 10.0
_SPEAKS_LAST_SECONDS = 0.3
_CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?\Z")


class HungUp(Exception):
    """The program inside ended its connection: nothing was refused, and nobody waits for an answer."""


class Client:
    """Reads ahead as far as a decision needs, and no further."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.answered = False
        """True once an answer of ours or of the other side has begun: no refusal may be written then."""
        self._buffer = b""

    async def _more(self) -> bool:
        try:
            data = await asyncio.get_running_loop().sock_recv(self.socket, 65_536)
        except OSError as error:
            raise HungUp from error
        self._buffer += data
        return bool(data)

    async def read_exactly(self, count: int) -> bytes:
        """Give `count` bytes. Raises HungUp, TimeoutError."""
        async with asyncio.timeout(_HEAD_SECONDS):
            while len(self._buffer) < count:
                if not await self._more():
                    raise HungUp
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    async def read_head(self) -> bytes:
        """Give a request head. Raises Refused, HungUp; TimeoutError ten seconds after the start, however it drips."""
        async with asyncio.timeout(_HEAD_SECONDS):
            while b"\r\n\r\n" not in self._buffer:
                if len(self._buffer) > LONGEST_HEAD:
                    raise Refused("network.malformed", "a request head without end")
                if not await self._more():
                    raise HungUp
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    async def read_hello(self, host: str, port: int, *, required: bool) -> bytes:
        """Give the first bytes of a stream once they are judged. Raises Refused, HungUp, TimeoutError.

        Where TLS is required, its name must be `host`. Elsewhere bytes that
        begin like TLS are judged the same; a client that waits for the server
        to speak first gives b"" after a moment, and what it says then is for
        `read_late_words` to judge.
        """
        try:
            async with asyncio.timeout(_HEAD_SECONDS if required else _SPEAKS_LAST_SECONDS):
                return await self._judged_words(host, port, required=required)
        except TimeoutError:
            if required:
                raise
            return b""

    async def read_late_words(self, host: str, port: int) -> bytes:
        """Give the first bytes of a client that let the server speak first; b"" when it says nothing more."""
        try:
            return await self._judged_words(host, port, required=False)
        except HungUp:
            return b""

    async def _judged_words(self, host: str, port: int, *, required: bool) -> bytes:
        reader, seen = HelloReader(), 0
        while (name := reader.feed(self._buffer[seen:])) is Hello.INCOMPLETE:
            seen = len(self._buffer)
            if not await self._more():
                raise HungUp
        if name is Hello.NOT_TLS and not required:
            return self._take()
        if name is Hello.NO_NAME and is_address(host):
            return self._take()  # RFC 6066: an address is never a server name
        if isinstance(name, Hello):
            raise Refused("network.tls", f"connect {host}:{port}: {name.value}")
        if name.removesuffix(".") != host:
            raise Refused("network.sni", f"connect {host}:{port}: the server name is {name[:80]}")
        return self._take()

    def rest(self) -> bytes:
        """Give what was read beyond what was asked for."""
        return self._take()

    def _take(self) -> bytes:
        data, self._buffer = self._buffer, b""
        return data

    async def send_body(
        self, outer: socket.socket, length: int | None, spend: Callable[[int], None]
    ) -> None:
        """Send on a body of `length` bytes, or a chunked one (None); nothing behind it."""
        if length is not None:
            await self._send(outer, length, spend)
            return
        loop = asyncio.get_running_loop()
        while True:
            line = await self._chunk_line()
            size = int(line, 16)
            if size == 0:
                await loop.sock_sendall(outer, b"0\r\n\r\n")  # trailers are dropped
                return
            await loop.sock_sendall(outer, f"{size:x}\r\n".encode())
            await self._send(outer, size, spend)
            if await self.read_exactly(2) != b"\r\n":
                raise Refused("network.malformed", "a chunk longer than its size")
            await loop.sock_sendall(outer, b"\r\n")

    async def _chunk_line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > 1024 or not await self._more():
                raise Refused("network.malformed", "a chunk without a size")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        match = _CHUNK_LINE.match(line)
        if match is None:
            raise Refused("network.malformed", f"chunk size {line[:20]!r}")
        return match[1]

    async def _send(self, outer: socket.socket, count: int, spend: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        while count:
            if not self._buffer and not await self._more():
                raise HungUp
            data, self._buffer = self._buffer[:count], self._buffer[count:]
            spend(len(data))
            await loop.sock_sendall(outer, data)
            count -= len(data)

    async def refuse(self, refusal: Refused) -> None:
        """Tell a proxy's client why, where HTTP is still being spoken; else reset."""
        if self.answered or not refusal.rule.startswith("network."):
            reset(self.socket)
            return
        body = f"cloche: {refusal.tried} refused by {refusal.rule}\n".encode("ascii", "replace")
        head = (
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with contextlib.suppress(OSError, TimeoutError):
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_sendall(self.socket, head.encode() + body), 2.0)
            self.socket.shutdown(socket.SHUT_WR)
