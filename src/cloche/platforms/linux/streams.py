"""The three standard streams of a sandboxed program, as the host holds their other ends."""

import asyncio
import os
import time
from collections import deque
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
        self._output: deque[tuple[str, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._unread: set[str] = set()
        """Streams that have not ended."""
        self._heard: set[str] = set()
        """Those that the loop watches for us."""
        self.last_sign = time.monotonic()
        """When the program last printed something, or began."""

    def start(self) -> None:
        """Begin to read."""
        self._unread = {name for name in ("stdout", "stderr") if name in self._descriptors}
        self._listen()

    async def read(self) -> tuple[str, bytes] | None:
        """Give the next ("stdout" | "stderr", bytes) in order of arrival, or None at the end."""
        while not self._output:
            if not self._unread:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        block = self._output.popleft()
        self._listen()
        return block

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
        self._unread = set()
        self._arrived.set()
        self._listen()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}

    def _close_input(self) -> None:
        os.close(self._descriptors.pop("stdin"))

    def _listen(self) -> None:
        """Hear of what comes while there is room for it, and of nothing else."""
        loop = asyncio.get_running_loop()
        wanted = self._unread if len(self._output) < _QUEUED else set()
        for name in self._heard - wanted:
            loop.remove_reader(self._descriptors[name])
        for name in wanted - self._heard:
            loop.add_reader(self._descriptors[name], self._take, name)
        self._heard = set(wanted)

    def _take(self, name: str) -> None:
        """Read one block; keep what the limit allows, drain the rest."""
        try:
            data = os.read(self._descriptors[name], _CHUNK)
        except BlockingIOError:
            return
        if data:
            self.last_sign = time.monotonic()
            self._keep(name, data)
        else:
            self._unread.discard(name)
        self._listen()
        self._arrived.set()

    def _keep(self, name: str, data: bytes) -> None:
        room = self._limit - self._taken
        if room <= 0:
            return
        self._taken += len(data)
        self._output.append((name, data[:room]))
        if len(data) > room:
            note = b"\n[cloche: output limit reached, the rest is not kept]\n"
            self._output.append(("stderr", note))


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
