"""The one way out of a sandbox: accepts on its own sockets, judges, connects, relays, tells."""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping

from cloche.egress.client import Client, HungUp
from cloche.egress.decide import authority, rule_for, written
from cloche.egress.denial import Refused
from cloche.egress.dial import Lookup, dial, system_lookup
from cloche.egress.dns import Resolver
from cloche.egress.http_head import Head, parse_head
from cloche.egress.nflog import refused_packets
from cloche.egress.relay import Budget, relay, reset
from cloche.egress.tally import Recorder, Tally
from cloche.egress.upstream import UpstreamProxy
from cloche.model.event import Event
from cloche.model.hosts import HostRule

_MOST_CONNECTIONS = 512
_SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h
_FIRST_HTTP_PORT = 80


class Egress:
    """Serves one sandbox. Without rules nothing leaves, and every attempt is told."""

    def __init__(
        self,
        *,
        step: str,
        sockets: Mapping[str, socket.socket],
        rules: tuple[HostRule, ...],
        max_bytes: int,
        emit: Callable[[Event], None],
        on_exhausted: Callable[[], None] = lambda: None,
        upstream: UpstreamProxy | None = None,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._sockets = sockets
        self._rules = rules
        self._upstream = upstream
        self._lookup = lookup
        self._recorder = Recorder(step, emit)
        self._budget = Budget(max_bytes, self._recorder.moved, on_exhausted)
        self._resolver = Resolver(rules, self._recorder.refused)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = 0

    @property
    def is_exhausted(self) -> bool:
        """Tell whether the sandbox wanted to move more than `max_bytes`."""
        return self._budget.is_over

    async def start(self) -> None:
        """Begin to serve. Sockets that the launcher could not make are simply not there."""
        loop = asyncio.get_running_loop()
        for name, handle in (
            ("proxy", self._proxied),
            ("tcp4", self._transparent),
            ("tcp6", self._literal),
            ("dns-tcp", self._dns_stream),
        ):
            if name in self._sockets:
                self._spawn(self._accept(self._sockets[name], handle))
        for name, read in (("dns-udp", self._on_dns), ("nflog", self._on_refused)):
            if name in self._sockets:
                self._sockets[name].setblocking(False)
                loop.add_reader(self._sockets[name], read)

    async def close(self) -> Tally:
        """Stop, close every socket of the sandbox's namespace, and give the totals."""
        loop = asyncio.get_running_loop()
        if "nflog" in self._sockets:
            self._on_refused()  # what was refused a moment ago is still told
        for name in ("dns-udp", "nflog"):
            if name in self._sockets:
                loop.remove_reader(self._sockets[name])
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A socket that stays open keeps the whole namespace alive.
        for each in self._sockets.values():
            each.close()
        return self._recorder.tally

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(
        self, listener: socket.socket, handle: Callable[[Client], Awaitable[None]]
    ) -> None:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED):
                    return
                await asyncio.sleep(0.1)
                continue
            if self._open >= _MOST_CONNECTIONS:
                refusal = Refused("network.max_connections", f"more than {_MOST_CONNECTIONS}")
                self._recorder.refused(refusal)
                reset(connection)
                continue
            self._spawn(self._guard(connection, handle))

    async def _guard(
        self, connection: socket.socket, handle: Callable[[Client], Awaitable[None]]
    ) -> None:
        self._open += 1
        client = Client(connection)
        try:
            await handle(client)
        except Refused as refusal:
            self._recorder.refused(refusal)
            await client.refuse(refusal)
        except HungUp:
            pass  # a program that ends with a spare connection open did nothing wrong
        except TimeoutError:
            self._recorder.refused(Refused("network.timeout", "a connection without a request"))
            reset(connection)
        except OSError as failure:
            self._recorder.refused(Refused("network.unreachable", str(failure)))
            reset(connection)
        finally:
            self._open -= 1
            connection.close()

    # The transparent way: any program, no proxy settings.

    async def _transparent(self, client: Client) -> None:
        raw = client.socket.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
        port, packed = struct.unpack_from(">H4s", raw, 2)
        address = socket.inet_ntoa(packed)
        client.answered = port != _FIRST_HTTP_PORT  # no HTTP is spoken there: refuse by reset
        host = self._resolver.name_of(address)
        if host is None:
            raise Refused("network.ip_literal", f"connect {address}:{port}", "connect by name")
        await self._stream(client, host, port)

    async def _literal(self, client: Client) -> None:
        place = client.socket.getsockname()
        client.answered = True
        raise Refused("network.ip_literal", f"connect [{place[0]}]:{place[1]}", "connect by name")

    # The proxy way: programs that were told of one.

    async def _proxied(self, client: Client) -> None:
        head = parse_head(await client.read_head())
        if head.method == "CONNECT":
            host, port = authority(head.target)
            rule_for(self._rules, host, port)
            client.answered = True
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client.socket, b"HTTP/1.1 200 OK\r\n\r\n")
            await self._stream(client, host, port)
            return
        scheme, _, rest = head.target.partition("://")
        name, slash, path = rest.partition("/")
        if scheme.lower() != "http":
            raise Refused("network.malformed", f"request target {head.target[:80]!r}")
        host, port = authority(name, _FIRST_HTTP_PORT)
        await self._one_request(client, head, host, port, f"{slash or '/'}{path}")

    async def _stream(self, client: Client, host: str, port: int) -> None:
        """Carry what a program says on a connection of its own, however it came by it."""
        if port == _FIRST_HTTP_PORT:
            await self._one_request(client, parse_head(await client.read_head()), host, port)
            return
        await self._tunnel(client, host, port)

    async def _tunnel(self, client: Client, host: str, port: int) -> None:
        """Carry a stream whose first bytes, where they are TLS, name the same host."""
        rule = rule_for(self._rules, host, port)
        # On 443 nothing goes out before the name is seen; elsewhere a server may speak first.
        first = await client.read_hello(host, port, required=port == 443)
        outer = await dial(host, port, rule, self._upstream, self._lookup)
        with outer:
            self._recorder.allowed(rule.origin, f"connect {host}:{port}")

            async def words() -> bytes:
                return first or await client.read_late_words(host, port)

            await relay(client.socket, outer, host, self._budget, words)

    async def _one_request(
        self, client: Client, head: Head, host: str, port: int, path: str = ""
    ) -> None:
        """Send on exactly one plain request: a second one behind it never reaches anybody."""
        if not path:
            if not head.target.startswith("/"):
                raise Refused("network.malformed", f"request target {head.target[:80]!r}")
            path = head.target
        hosts = head.values("host")
        if len(hosts) > 1 or (hosts and authority(hosts[0], port) != (host, port)):
            raise Refused("network.host_header", f"Host {hosts[0][:80]!r} for {host}:{port}")
        length = head.body_length()
        rule = rule_for(self._rules, host, port)
        outer = await dial(host, port, rule, self._upstream, self._lookup)
        loop = asyncio.get_running_loop()
        with outer:
            self._recorder.allowed(rule.origin, f"{head.method} http://{host}:{port}")
            client.answered = True
            shown = written(host, port).removesuffix(f":{_FIRST_HTTP_PORT}")
            await loop.sock_sendall(outer, head.rebuilt(shown, path))
            await client.send_body(outer, length, lambda n: self._budget.spend(host, n))
            with contextlib.suppress(OSError):
                outer.shutdown(socket.SHUT_WR)
            while block := await loop.sock_recv(outer, 65_536):
                self._budget.spend(host, len(block))
                await loop.sock_sendall(client.socket, block)

    # Names.

    def _on_dns(self) -> None:
        channel = self._sockets["dns-udp"]
        for _ in range(64):
            try:
                query, sender = channel.recvfrom(4096)
            except OSError:
                return
            if answer := self._resolver.answer(query):
                with contextlib.suppress(OSError):
                    channel.sendto(answer, sender)

    async def _dns_stream(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(100):
            length = int.from_bytes(await client.read_exactly(2), "big")
            answer = self._resolver.answer(await client.read_exactly(length))
            if answer is None:
                return
            await loop.sock_sendall(client.socket, len(answer).to_bytes(2, "big") + answer)

    # What the rules refused.

    def _on_refused(self) -> None:
        for _ in range(64):
            try:
                data = self._sockets["nflog"].recv(65_536)
            except OSError:
                return
            for protocol, address, port in refused_packets(data):
                rule = "network.ip_literal" if protocol == "tcp" else "network.protocol"
                remedy = "connect by name, and allow the name in network.allow"
                target = f"{protocol} {address}:{port}" if port else f"{protocol} {address}"
                self._recorder.refused(Refused(rule, target, remedy))
