"""Bytes both ways: whole, counted exactly, half-closes passed on."""

import asyncio
import hashlib
import os
import socket
from collections.abc import Iterator

import pytest

from cloche.egress.denial import Refused
from cloche.egress.relay import Budget, relay

Ends = tuple[socket.socket, socket.socket, socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """(program, our end of it, our end of the server, server)."""
    program, inner = socket.socketpair()
    outer, server = socket.socketpair()
    made = (program, inner, outer, server)
    for each in made:
        each.setblocking(False)
    yield made
    for each in made:
        each.close()


def budget(most: int = 1 << 40) -> tuple[Budget, list[int]]:
    moved: list[int] = []
    return Budget(most, lambda _host, count: moved.append(count)), moved


async def send(end: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(end, data)
    end.shutdown(socket.SHUT_WR)


async def read(end: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while block := await loop.sock_recv(end, 65_536):
        data += block
    return data


def test_what_arrives_is_what_was_sent_both_ways_and_ends_when_both_end(ends: Ends) -> None:
    program, inner, outer, server = ends
    up, down = os.urandom(3_000_000), os.urandom(2_000_000)
    spent, moved = budget()

    async def go() -> list[bytes]:
        results = await asyncio.gather(
            relay(inner, outer, "h", spent),
            *(send(program, up), read(server), send(server, down), read(program)),
        )
        return [results[2], results[4]]

    arrived = asyncio.run(go())
    assert [hashlib.sha256(a).digest() for a in arrived] == [
        hashlib.sha256(s).digest() for s in (up, down)
    ]
    assert sum(moved) == len(up) + len(down)


def test_an_answer_still_comes_after_the_question_has_ended(ends: Ends) -> None:
    program, inner, outer, server = ends

    async def answer() -> None:
        assert await read(server) == b"question"
        await send(server, b"answer")

    async def go() -> bytes:
        results = await asyncio.gather(
            relay(inner, outer, "h", budget()[0]),
            send(program, b"question"),
            answer(),
            read(program),
        )
        return results[3]

    assert asyncio.run(go()) == b"answer"


def test_not_a_byte_more_than_the_budget_is_sent(ends: Ends) -> None:
    program, inner, outer, server = ends
    spent, moved = budget(1000)

    async def go() -> None:
        sending = asyncio.create_task(send(program, b"x" * 600))
        relaying = asyncio.create_task(relay(inner, outer, "h", spent))
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(server, 65_536) == b"x" * 600
        await sending
        await loop.sock_sendall(server, b"y" * 401)
        await relaying

    with pytest.raises(Refused) as refusal:
        asyncio.run(go())
    assert refusal.value.rule == "network.max_bytes"
    assert sum(moved) == 600


def test_first_words_that_are_refused_never_reach_the_server(ends: Ends) -> None:
    program, inner, outer, server = ends

    async def refuse() -> bytes:
        raise Refused("network.sni", "connect")

    async def go() -> None:
        await asyncio.get_running_loop().sock_sendall(program, b"secret")
        await relay(inner, outer, "h", budget()[0], refuse)

    with pytest.raises(Refused):
        asyncio.run(go())
    with pytest.raises(BlockingIOError):
        server.recv(10)
