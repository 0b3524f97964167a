"""The three standard streams of a sandboxed program, as the host holds their other ends."""

import asyncio
import os
import time
from collections.abc import Mapping

_CHUNK = 65_536
_QUEUED = 64


class Streams:
    """Output read as it comes and kept up to a limit; input written as the program takes it."""

    def __init__(self, descriptors: Mapping[str, int], limit_bytes: int) -> None:
        """Take over our ends by name: "stdout", "stderr" and, where it is fed, "stdin"."""
        self._descriptors = dict(descriptors)
        self._limit = limit_bytes
        self._taken = 0
        self._output: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(_QUEUED)
        self._pump: asyncio.Task[None] | None = None
        self.last_sign = time.monotonic()
        """When the program last printed something, or began."""

    def start(self) -> None:
        """Begin to read."""
        self._pump = asyncio.create_task(self._read_all())

    async def read(self) -> tuple[str, bytes] | None:
        """Give the next ("stdout" | "stderr", bytes) in order of arrival, or None at the end."""
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        """Write all of `data` to standard input, b"" closes it; nothing when nobody reads it."""
        descriptor = self._descriptors.get("stdin")
        if descriptor is None:
            return
        if not data:
            self._close_input()
            return
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                await asyncio.sleep(0.005)
            except BrokenPipeError:
                self._close_input()
                return

    async def close(self) -> None:
        """Stop, and close what is ours."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}

    def _close_input(self) -> None:
        os.close(self._descriptors.pop("stdin"))

    async def _read_all(self) -> None:
        """Read both until they end; keep what the limit allows, drain the rest."""
        readers = [asyncio.create_task(self._read(name)) for name in ("stdout", "stderr")]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
        # Not when cancelled: nobody reads any more, and the queue may be full.
        await self._output.put(None)

    async def _read(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self._descriptors[name]
        while True:
            ready = loop.create_future()
            loop.add_reader(descriptor, _settle, ready)
            try:
                await ready
            finally:
                loop.remove_reader(descriptor)
            try:
                data = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                continue
            if not data:
                return
            self.last_sign = time.monotonic()
            room = self._limit - self._taken
            if room <= 0:
                continue
            self._taken += len(data)
            await self._output.put((name, data[:room]))
            if len(data) > room:
                note = b"\n[cloche: output limit reached, the rest is not kept]\n"
                await self._output.put(("stderr", note))


def make_streams(*, feeds: bool) -> tuple[tuple[int, int, int], dict[str, int]]:
    """Make the three standard streams: (their ends inside, our ends by name).

    Always pipes, also when ours is a terminal or a file: a descriptor of the
    host's, once inside, can be reopened with other rights through /proc.
    """
    ours: dict[str, int] = {}
    if feeds:
        inside_in, ours["stdin"] = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours["stdin"], False)
    else:
        inside_in = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    ours["stdout"], inside_out = os.pipe2(os.O_CLOEXEC)
    ours["stderr"], inside_err = os.pipe2(os.O_CLOEXEC)
    for name in ("stdout", "stderr"):
        os.set_blocking(ours[name], False)
    return (inside_in, inside_out, inside_err), ours


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
