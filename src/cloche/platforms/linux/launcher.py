"""The host's end of the launcher: one zygote process, asked for sandboxes one at a time."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cloche.sandbox.errors import SpawnFailed
from cloche_launch import message


class Launcher:
    """A running zygote. It dies with this process, and its sandboxes with it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._turn = asyncio.Lock()
        self._mappings: dict[tuple[tuple[int, int], tuple[int, int]], int] = {}

    async def prepare(self, ground: bytes, channel: int) -> tuple[int, int]:
        """Ask for a sandbox without its program yet: (pid of its init, pidfd). Raises SpawnFailed.

        `channel` is the sandbox's end of the socket on which its init speaks.
        """
        with document(ground) as memory:
            fields, received = await self._ask({"kind": "prepare"}, [memory, channel])
        if fields["kind"] != "prepared" or len(received) != 1:
            raise SpawnFailed(str(fields.get("call")), str(fields.get("detail")))
        return int(fields["pid"]), received[0]

    async def keep(
        self, plan: bytes, channel: int, streams: tuple[int, int, int]
    ) -> tuple[int, int]:
        """Start a program without namespaces: (pid of its keeper, pidfd). Raises SpawnFailed."""
        with document(plan) as memory:
            fields, received = await self._ask({"kind": "keep"}, [memory, channel, *streams])
        if fields["kind"] != "prepared" or len(received) != 1:
            raise SpawnFailed(str(fields.get("call")), str(fields.get("detail")))
        return int(fields["pid"]), received[0]

    async def map(self, owner: tuple[int, int], user: tuple[int, int]) -> int:
        """Give a user namespace that shows `owner`'s files as `user`'s: (uid, gid) both. Raises SpawnFailed.

        It is the launcher's to close, and made once: each costs a process.
        """
        key = (owner, user)
        if key not in self._mappings:
            words = {"owner_uid": owner[0], "owner_gid": owner[1]}
            words |= {"host_uid": user[0], "host_gid": user[1]}
            fields, received = await self._ask({"kind": "map", **words}, [])
            if fields["kind"] != "mapped" or len(received) != 1:
                raise SpawnFailed(str(fields.get("call")), str(fields.get("detail")))
            self._mappings[key] = received[0]
        return self._mappings[key]

    async def _ask(
        self, request: dict[str, Any], descriptors: list[int]
    ) -> tuple[dict[str, Any], list[int]]:
        try:
            async with self._turn:
                channel = self._start()
                message.send(channel, request, descriptors)
                await _readable(channel)
                fields, received = message.receive(channel)
        except OSError as error:
            raise SpawnFailed("launcher", str(error)) from error
        if fields is None:
            raise SpawnFailed("launcher", "it has ended")
        return fields, received

    def _start(self) -> socket.socket:
        if self._channel is None or self._process is None or self._process.poll() is not None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", _program(), str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    # Cleared: what is in a launcher's environment could be read in its children.
                    env={},
                    cwd="/",
                    # Its own session: a terminal's signals are for the host to pass on.
                    start_new_session=True,
                )
            ours.setblocking(False)
            self._channel = ours
        return self._channel

    async def close(self) -> None:
        """Hang up; the zygote kills what it made and ends."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        for namespace in self._mappings.values():
            os.close(namespace)
        self._mappings = {}
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
            self._process = None


@contextmanager
def document(content: bytes) -> Iterator[int]:
    """Give a descriptor of `content` for the length of a block: a message has not the room for it."""
    memory = os.memfd_create("plan", os.MFD_CLOEXEC)
    try:
        os.write(memory, content)
        yield memory
    finally:
        os.close(memory)


def _program() -> str:
    spec = find_spec("cloche_launch")
    if spec is None or spec.origin is None:
        raise SpawnFailed("launcher", "the package cloche_launch is not installed")
    return str(Path(spec.origin).parent)


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(channel, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(channel)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
