"""A port inside, seen from the host's own loopback: with no helper inside, and not by other sites' pages."""

import asyncio
import contextlib
import re
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

from cloche.egress.client import Client, HungUp
from cloche.egress.denial import Refused
from cloche.egress.http_head import Head, parse_head
from cloche.egress.relay import Budget, relay

_BATCH = 8
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 30.0
_FAMILIES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_OURS = frozenset((53, 3128, 3129))
_LOCAL = re.compile(
    r"(127\.0\.0\.1|localhost|[a-z0-9-]+\.localhost|\[::1\])(:[0-9]+)?\Z", re.IGNORECASE
)

_CONNECTION = (b"connection", b"keep-alive", b"proxy-connection")

InnerSockets = Callable[[int, int], Awaitable[tuple[socket.socket, ...]]]


class Preview:
    """A listener on 127.0.0.1 that leads to one port in a sandbox."""

    def __init__(
        self, *, step: str, inner_sockets: InnerSockets, inner_port: int, host_port: int = 0
    ) -> None:
        if inner_port in _OURS:
            raise Refused("network.preview", f"show port {inner_port}, which is the kernel's own")
        self._step = step
        self._make = inner_sockets
        self._inner_port = inner_port
        self._host_port = host_port
        self._pools: dict[int, deque[socket.socket]] = {family: deque() for family, _ in _FAMILIES}
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; give the host's port. Raises OSError when it is taken, or not this user's to take."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._host_port))
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        self._listener = listener
        self._spawn(self._accept(listener))
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Stop, and let the sandbox's namespace go."""
        if self._listener is not None:
            self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pool in self._pools.values():
            for each in pool:
                each.close()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def connect(self) -> socket.socket:
        """Give one connection to the port inside. Raises OSError when nothing listens there."""
        loop = asyncio.get_running_loop()
        failure: OSError = ConnectionRefusedError("nothing listens")
        for family, address in _FAMILIES:
            inner = await self._inner(family)
            inner.setblocking(False)
            try:
                await loop.sock_connect(inner, (address, self._inner_port))
            except OSError as error:
                inner.close()
                failure = error
            except BaseException:
                inner.close()
                raise
            else:
                return inner
        raise failure

    async def _inner(self, family: int) -> socket.socket:
        pool = self._pools[family]
        if not pool:
            pool.extend(await self._make(family, _BATCH))
        return pool.popleft()

    async def wait_listening(self) -> None:
        """Wait until something accepts connections inside."""
        while True:
            try:
                connection = await self.connect()
            except OSError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                connection.close()
                return

    async def wait_answer(self, path: str, statuses: tuple[int, ...]) -> int:
        """Wait until a GET of `path` is answered as wanted; give the status."""
        while True:
            status = None
            with contextlib.suppress(OSError, TimeoutError):
                status = await asyncio.wait_for(self._get(path), _ANSWER_SECONDS)
            if status is not None and (status in statuses if statuses else status < 500):
                return status
            await asyncio.sleep(_POLL_SECONDS * 4)

    async def _get(self, path: str) -> int | None:
        loop = asyncio.get_running_loop()
        with await self.connect() as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: localhost:{self._inner_port}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(connection, request.encode())
            answer = b""
            while b"\r\n" not in answer and len(answer) < 4096:
                block = await loop.sock_recv(connection, 4096)
                if not block:
                    break
                answer += block
        match = re.match(rb"HTTP/1\.[01] ([1-5][0-9]{2})", answer)
        return int(match[1]) if match else None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                return
            self._spawn(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        client = Client(connection)
        with connection, contextlib.suppress(OSError, TimeoutError, Refused, HungUp):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw = await client.read_head()
            head = parse_head(raw)
            if not _is_local(head):
                await _answer(connection, 403, "this address is for the machine it runs on")
                return
            try:
                inner = await self.connect()
            except OSError:
                await _answer(connection, 502, "nothing listens in the sandbox yet; try again")
                return
            with inner:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(inner, _once(raw, head) + client.rest())
                await relay(connection, inner, self._step, _UNCOUNTED)


def _is_local(head: Head) -> bool:
    """Tell whether a browser meant this machine: a page of another site can be rebound to our address."""
    hosts = head.values("host")
    if len(hosts) != 1 or not _LOCAL.match(hosts[0]):
        return False
    # "null" is nobody's: any site can have it, by a sandboxed frame.
    return all(_LOCAL.match(origin.partition("://")[2]) for origin in head.values("origin"))


def _once(raw: bytes, head: Head) -> bytes:
    """Give the head to send on. Each request has a connection of its own, unless it becomes a WebSocket.

    Browsers share a kept connection between sites: a second request on it
    would not be looked at.
    """
    if head.values("upgrade"):
        return raw + b"\r\n\r\n"
    lines = raw.split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].lower() not in _CONNECTION]
    return b"\r\n".join([*kept, b"Connection: close", b"", b""])


async def _answer(connection: socket.socket, status: int, text: str) -> None:
    body = f"cloche: {text}\n"
    head = (
        f"HTTP/1.1 {status} Preview\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, (head + body).encode())
    connection.shutdown(socket.SHUT_WR)
    # Read what is left: closing with unread bytes is a reset, and the page would be lost.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while await loop.sock_recv(connection, 65_536):
                pass


# What a person looks at in a preview is their own; it is no way out of the sandbox.
_UNCOUNTED = Budget(1 << 62, lambda _host, _count: None)
