"""A running sandbox as the host holds it: what its init says, clocks, limits, and its certain end."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from cloche.model.limits import Limits
from cloche.platforms.linux.cgroup import Group
from cloche.platforms.linux.streams import Streams
from cloche.platforms.linux.trying import refusal_of
from cloche.sandbox.errors import SpawnFailed
from cloche.sandbox.platform import Exit, Usage
from cloche.sandbox.report import EnforcementReport
from cloche_launch import message


class LinuxProcess:
    """A SandboxedProcess: the program, its init, and everything they hold."""

    def __init__(
        self,
        *,
        pid: int,
        pidfd: int,
        channel: socket.socket,
        streams: Streams,
        limits: Limits,
        group: Group,
        bury: Callable[[Coroutine[Any, Any, None]], None],
        after: Callable[[], None],
    ) -> None:
        """Take over a launched sandbox.

        `bury` is given what remains to be waited for when a closed sandbox is
        empty; `after` is called when nothing of it is left at all.
        """
        self.host_pid = pid
        self.sockets: dict[str, socket.socket] = {}
        self.own_place: int | None = None
        self.report = EnforcementReport(())
        self.facts: dict[str, Any] = {}  # Any: JSON from the launcher
        self._pidfd = pidfd
        self._channel = channel
        self._streams = streams
        self._limits = limits
        self._group = group
        self._bury, self._after = bury, after
        self._began = time.monotonic()
        self._last_work = self._began
        self._order = ""
        self._stage = ""
        """What init told last, up to the start."""
        self._turn = asyncio.Lock()
        self._replies: asyncio.Queue[tuple[dict[str, Any], list[int]]] = asyncio.Queue()
        self._inbox: deque[dict[str, Any]] = deque()
        self._changed = asyncio.Event()
        self._status: int | None = None
        self._limit = ""
        self._detail = ""
        self._ended = asyncio.Event()
        """Nothing runs inside any more, or init is gone."""
        self._gone = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._closed = False
        self._usage: Usage | None = None

    async def wait_confined(self) -> None:
        """Wait for `facts`, told before the program is there. Raises SpawnFailed with the launcher's words."""
        await self._wait_until("confined", "started")

    async def start(self) -> None:
        """Wait until the program runs. Raises SpawnFailed with the launcher's own words, CannotConfine."""
        await self._wait_until("started")
        self._streams.start()
        self._watcher = asyncio.create_task(self._watch())

    async def _wait_until(self, *stages: str) -> None:
        if not self._stage:
            self._stage = "launched"
            loop = asyncio.get_running_loop()
            loop.add_reader(self._pidfd, self._on_gone)
            loop.add_reader(self._channel, self._on_message)
        while self._stage not in stages:
            for fields in self._drain():
                if fields["kind"] == "failed" and fields.get("call") == "trial":
                    raise refusal_of(str(fields.get("trial")), str(fields.get("detail")))
                if fields["kind"] == "failed":
                    raise SpawnFailed(str(fields.get("call")), str(fields.get("detail"))[:500])
                if self._stage != "started":  # and it may have ended already
                    self._stage = str(fields["kind"])
                self.facts |= fields
            if self._stage in stages:
                return
            if self._gone.is_set():
                raise SpawnFailed("launcher", "the sandbox ended before its program started")
            await self._changed.wait()
            self._changed.clear()

    def _drain(self) -> list[dict[str, Any]]:
        taken = list(self._inbox)
        self._inbox.clear()
        return taken

    def _on_message(self) -> bool:
        """Take one message of init; False when there is none, or none that may be believed."""
        try:
            fields, descriptors = message.receive(self._channel)
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            fields, descriptors = None, []
        if fields is None or fields.get("kind") not in message.ORDER.get(self._order, ()):
            for descriptor in descriptors:
                os.close(descriptor)
            asyncio.get_running_loop().remove_reader(self._channel)
            self._changed.set()
            return False
        kind = str(fields["kind"])
        self._order = kind
        if kind == "network":
            pairs = zip(fields["names"], descriptors, strict=True)
            self.sockets |= {str(name): socket.socket(fileno=fd) for name, fd in pairs}
        elif kind in ("put-done", "sockets"):
            self._replies.put_nowait((fields, descriptors))
        if kind == "exited":
            self._status = int(fields["status"]) & 0xFF
            self._ended.set()
        self._inbox.append(fields)
        self._changed.set()
        return True

    def _on_gone(self) -> None:
        # Its death and its last messages arrive on two descriptors, in either order.
        while not self._closed and self._on_message():
            pass
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._gone.set()
        self._ended.set()
        self._changed.set()

    async def _watch(self) -> None:
        """Hold the clocks: wall time, and time without any sign of life."""
        cpu = 0.0
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._group.poll_seconds)
                return
            now = time.monotonic()
            used = self.usage().cpu_seconds
            if used is None or used > cpu + 0.005:
                cpu, self._last_work = used or 0.0, now
            silent = now - max(self._last_work, self._streams.last_sign)
            if now - self._began > self._limits.wall_seconds:
                self._breach("wall_seconds", f"ran {now - self._began:.1f} s")
            elif silent > self._limits.idle_seconds:
                self._breach("idle_seconds", f"no sign for {silent:.1f} s")
            elif name := self._group.exceeded(self.host_pid):
                self._breach(name, self._peak(name))

    def _peak(self, limit: str) -> str:
        usage, counted = self.usage(), self._group.counted_by
        if limit == "memory_bytes":
            return f"peak {usage.memory_peak_bytes} bytes, {counted}"
        return f"peak {usage.processes_peak}, {counted}"

    def _breach(self, limit: str, detail: str) -> None:
        if not self._limit:
            self._limit, self._detail = limit, detail
        self.kill()

    def kill(self) -> None:
        """Kill init: the kernel kills everything else in its pid namespace."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def read_output(self) -> tuple[str, bytes] | None:
        """See SandboxedProcess."""
        return await self._streams.read()

    async def write_input(self, data: bytes) -> None:
        """See SandboxedProcess."""
        await self._streams.write(data)

    async def put_file(self, path: str, content: bytes | None) -> None:
        """See SandboxedProcess."""
        if self._ended.is_set():
            return
        descriptors = []
        if content is not None:
            memory = os.memfd_create("edit", os.MFD_CLOEXEC)
            os.write(memory, content)
            os.lseek(memory, 0, os.SEEK_SET)
            descriptors = [memory]
        try:
            await self._ask({"kind": "put", "path": path}, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def inner_sockets(self, family: int, count: int) -> tuple[socket.socket, ...]:
        """See SandboxedProcess. Raises OSError when the sandbox is gone."""
        descriptors = await self._ask({"kind": "connect", "family": family, "count": count}, [])
        if not descriptors:
            raise ConnectionResetError("the sandbox has ended")
        return tuple(socket.socket(fileno=descriptor) for descriptor in descriptors)

    async def _ask(self, fields: dict[str, Any], descriptors: list[int]) -> list[int]:
        """Send a request to init and wait for its answer, or for its end."""
        async with self._turn:
            if self._ended.is_set():
                return []
            message.send(self._channel, fields, descriptors)
            answer = asyncio.ensure_future(self._replies.get())
            ended = asyncio.ensure_future(self._ended.wait())
            try:
                await asyncio.wait({answer, ended}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
            if not answer.done():
                answer.cancel()
                return []
            return answer.result()[1]

    async def wait_exited(self) -> Exit:
        """See SandboxedProcess."""
        await self._ended.wait()
        limit = self._limit or self._group.breached()
        status = 137 if self._status is None else self._status
        detail = self._detail or (self._peak(limit) if limit else "")
        return Exit(status=status, limit=limit, detail=detail)

    async def terminate(self, grace_seconds: float) -> None:
        """See SandboxedProcess."""
        if grace_seconds > 0 and not self._ended.is_set():
            with contextlib.suppress(OSError):
                message.send(self._channel, {"kind": "terminate"})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), grace_seconds)
        self.kill()

    def usage(self) -> Usage:
        """See SandboxedProcess."""
        if self._closed and self._usage is not None:
            return self._usage
        measured: Usage = self._group.usage(self.host_pid, time.monotonic() - self._began)
        return measured

    async def close(self) -> None:
        """See SandboxedProcess."""
        if self._closed:
            return
        self._usage = self.usage()
        self._closed = True
        self.kill()
        if not self._ended.is_set():
            self._group.kill()
            await self._gone.wait()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._streams.close()
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self._bury(self._vanish())

    async def _vanish(self) -> None:
        """Wait for what the kernel still has to tear down: an init alone in empty namespaces."""
        await self._gone.wait()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        await asyncio.to_thread(self._group.remove)
        self._after()
