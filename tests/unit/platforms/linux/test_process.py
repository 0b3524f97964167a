"""What the host makes of a sandbox's messages, whatever order the machine delivers them in."""

import asyncio
import os
import select
import socket
import subprocess
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cloche.model.limits import LEAST_LIMITS
from cloche.platforms.linux.process import LinuxProcess
from cloche.platforms.linux.streams import Streams, make_streams
from cloche.platforms.linux.watcher import Watcher
from cloche.sandbox.errors import SpawnFailed
from cloche.sandbox.platform import Exit
from cloche_launch import message

Say = Callable[[socket.socket], None]


def words(*sayings: dict[str, Any]) -> Say:
    def say(channel: socket.socket) -> None:
        for saying in sayings:
            message.send(channel, saying)

    return say


def meet(say: Say) -> Exit:
    """Start on a sandbox that said all of it and was dead before anybody listened."""

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        say(theirs)
    child = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(child.pid)
    select.select([pidfd], [], [])

    async def scene() -> Exit:
        rest: list[Coroutine[Any, Any, None]] = []
        inside, nothing = make_streams(feeds=False)
        for descriptor in inside:
            os.close(descriptor)
        process = LinuxProcess(
            pid=child.pid,
            pidfd=pidfd,
            channel=ours,
            streams=Streams(nothing, LEAST_LIMITS.output_bytes),
            limits=LEAST_LIMITS,
            group=Watcher(),
            bury=rest.append,
            after=lambda: None,
        )
        try:
            await process.start()
            return await process.wait_exited()
        finally:
            await process.close()
            for each in rest:
                await each

    try:
        return asyncio.run(scene())
    finally:
        child.wait()


STARTED = (
    {"kind": "network", "names": [], "level": "bare"},
    {"kind": "confined", "landlock": 1},
    {"kind": "started"},
)


def test_a_program_that_ended_before_anybody_listened_has_started_and_keeps_its_status() -> None:
    ended = meet(words(*STARTED, {"kind": "exited", "status": 3}))
    assert (ended.status, ended.limit) == (3, "")


def test_a_sandbox_that_dies_before_its_program_starts_is_a_failure_to_spawn() -> None:
    with pytest.raises(SpawnFailed, match="ended before its program started"):
        meet(words(*STARTED[:2]))


def test_a_failure_is_told_in_the_launchers_own_words() -> None:
    with pytest.raises(SpawnFailed, match="mount: no such thing"):
        meet(words(STARTED[0], {"kind": "failed", "call": "mount", "detail": "no such thing"}))


def test_a_message_out_of_order_is_not_believed() -> None:
    with pytest.raises(SpawnFailed):
        meet(words({"kind": "exited", "status": 0}, *STARTED))
