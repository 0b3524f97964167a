"""Standard input as `run` passes it on: read in a thread, and let go when the run is over."""

import os
import select

_CHUNK = 65_536


class StandardInput:
    """The process's standard input. Whoever holds its other end may never close it, and must not hold us."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._over, self._end = os.pipe2(os.O_CLOEXEC)

    def read(self) -> bytes:
        """Wait for the next piece; b"" at the end, or once `close` was called."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.register(self._over, select.POLLIN)
        if self._over in dict(poll.poll()):
            return b""
        return os.read(self._descriptor, _CHUNK)

    def close(self) -> None:
        """Wake a reader that waits: a thread that still reads would keep the process from ending."""
        os.write(self._end, b".")
