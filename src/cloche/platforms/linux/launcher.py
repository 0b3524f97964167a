"""The host's end of the launcher: one zygote process, asked for sandboxes one at a time."""

import asyncio
import os
import socket
import subprocess
import sys
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

    async def prepare(self, ground: bytes, channel: int) -> tuple[int, int]:
        """Ask for a sandbox without its program yet: (pid of its init, pidfd). Raises SpawnFailed.

        `channel` is the sandbox's end of the socket on which its init speaks.
        """
        fields, received = await self._ask({"kind": "prepare"}, ground, (channel,))
        if fields["kind"] != "prepared" or len(received) != 1:
            raise SpawnFailed(str(fields.get("call")), str(fields.get("detail")))
        return int(fields["pid"]), received[0]

    async def launch(self, pid: int, document: bytes, streams: tuple[int, int, int]) -> None:
        """Give a prepared sandbox its plan and its three standard streams. Raises SpawnFailed."""
        fields, _ = await self._ask({"kind": "launch", "pid": pid}, document, streams)
        if fields["kind"] != "launched":
            raise SpawnFailed(str(fields.get("call")), str(fields.get("detail")))

    async def _ask(
        self, request: dict[str, Any], document: bytes, descriptors: tuple[int, ...]
    ) -> tuple[dict[str, Any], list[int]]:
        memory = os.memfd_create("plan", os.MFD_CLOEXEC)
        try:
            os.write(memory, document)
            async with self._turn:
                channel = self._start()
                message.send(channel, request, [memory, *descriptors])
                await _readable(channel)
                fields, received = message.receive(channel)
        except OSError as error:
            raise SpawnFailed("launcher", str(error)) from error
        finally:
            os.close(memory)
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
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
            self._process = None


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
