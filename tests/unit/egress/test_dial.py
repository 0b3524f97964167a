"""Resolved once, every address judged, the judged address dialled, in order."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from cloche.egress.denial import Refused
from cloche.egress.dial import dial
from cloche.egress.upstream import UpstreamProxy
from cloche.model.hosts import HostPattern, HostRule

TRUSTED = ("127.66.0.2", "127.66.0.3", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.66.0.2", 0)) as listener:
        yield listener


class Names:
    """A resolver that gives one answer after another."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> list[tuple[int, str]]:
        self.asked.append(host)
        found = self._answers.pop(0)
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, a) for a in found]


def rule(port: int, trusted: tuple[str, ...] = TRUSTED) -> HostRule:
    return HostRule(
        pattern=HostPattern("ok.example.org"),
        ports=(port,),
        origin="network.allow[0]",
        trusted_addresses=trusted,
    )


def connected(
    names: Callable[[str, int], Awaitable[list[tuple[int, str]]]],
    port: int,
    upstream: UpstreamProxy | None = None,
) -> tuple[str, int]:
    async def go() -> tuple[str, int]:
        with await dial("ok.example.org", port, rule(port), upstream, names) as outer:
            return (str(outer.getpeername()[0]), int(outer.getpeername()[1]))

    return asyncio.run(go())


def test_the_name_is_resolved_once_so_it_cannot_be_rebound(server: socket.socket) -> None:
    names = Names(["127.66.0.2"], ["10.0.0.5"])
    port = server.getsockname()[1]
    assert connected(names, port) == ("127.66.0.2", port)
    assert names.asked == ["ok.example.org"]


def test_the_next_address_is_tried_when_one_does_not_answer(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert connected(Names(["127.66.0.3", "127.66.0.2"]), port) == ("127.66.0.2", port)


@pytest.mark.parametrize("order", [["127.66.0.2", "10.0.0.5"], ["10.0.0.5", "127.66.0.2"]])
def test_one_address_that_is_not_allowed_poisons_the_answer(
    server: socket.socket, order: list[str]
) -> None:
    port = server.getsockname()[1]
    server.setblocking(False)
    with pytest.raises(Refused) as refusal:
        connected(Names(order), port)
    assert refusal.value.rule == "network.private"
    assert refusal.value.tried.startswith(f"connect ok.example.org:{port}: ")
    with pytest.raises(BlockingIOError):
        server.accept()


def test_a_name_without_address_is_no_refusal() -> None:
    with pytest.raises(OSError, match="no address"):
        connected(Names([]), 443)


def test_the_users_proxy_does_the_looking_up_and_is_told_the_name() -> None:
    heard = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 fine\r\n\r\nfirst words")
        await writer.drain()
        writer.close()

    async def go() -> bytes:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            upstream = UpstreamProxy(host="proxy.example.org", port=port, credentials="Basic eA==")
            names = Names(["127.0.0.1"])
            with await dial("ok.example.org", 443, rule(443), upstream, names) as outer:
                assert names.asked == ["proxy.example.org"]
                return await asyncio.get_running_loop().sock_recv(outer, 100)

    assert asyncio.run(go()) == b"first words"
    assert heard == [
        b"CONNECT ok.example.org:443 HTTP/1.1\r\nHost: ok.example.org:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
    ]


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 log in\r\n\r\n", b"", b"x" * 9000, b"HTTP/1.1\r\n\r\n"]
)
def test_a_proxy_that_refuses_is_said_to_be_the_users(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def go() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            upstream = UpstreamProxy(host="proxy.example.org", port=port)
            await dial("ok.example.org", 443, rule(443), upstream, Names(["127.0.0.1"]))

    with pytest.raises(OSError, match="proxy of your configuration"):
        asyncio.run(go())
