"""A run as the caller holds it: await it for the result, iterate it for the events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

from cloche.kernel.context import RunResult
from cloche.kernel.stream import EventStream
from cloche.model.event import Event

Body = Callable[[EventStream], Awaitable[RunResult]]


class Run:
    """One verb on one project. It starts when first awaited or iterated, and runs once."""

    def __init__(self, body: Body, observe: Callable[[Event], None]) -> None:
        self._body = body
        self._observe = observe
        self._stream: EventStream | None = None
        self._task: asyncio.Task[RunResult] | None = None

    def start(self) -> "Run":
        """Start now, without waiting for anything."""
        if self._task is None:
            self._stream = EventStream(self._observe)
            self._task = asyncio.create_task(self._go(self._stream))
        return self

    async def _go(self, stream: EventStream) -> RunResult:
        try:
            return await self._body(stream)
        finally:
            stream.close()

    def __await__(self) -> Generator[Any, None, RunResult]:  # Any: the loop's own protocol
        """Give the result, or raise the ClocheError that ended the run."""
        self.start()
        assert self._task is not None
        return self._task.__await__()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield every event from the beginning until the run has ended."""
        self.start()
        assert self._stream is not None
        assert self._task is not None
        async for _, event in self._stream.read():
            yield event
        # A failure belongs to whoever awaits the run; a reader of events has seen RunFinished.
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()

    def cancel(self) -> None:
        """Stop: what runs is killed, the transaction rolled back. Await the run to know it is done."""
        if self._task is not None:
            self._task.cancel()
