"""The one stream of a run's events: ordered, timed, bounded, replayable from the start."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from cloche.model.event import Event, Output

_KEPT_OUTPUT = 2_000


class EventStream:
    """Events in the order they were emitted; any number of readers, each from the beginning.

    Output is what a hostile program can produce without end: only the newest
    events of that kind are kept for late readers, everything else is kept whole.
    """

    def __init__(self, observe: Callable[[Event], None] | None = None) -> None:
        self._began = time.monotonic()
        self._events: deque[tuple[int, Event]] = deque()
        self._outputs = 0
        self._next = 0
        self._closed = False
        self._changed = asyncio.Event()
        self._observe = observe

    def emit(self, event: Event) -> None:
        """Append `event` with the time it happened. Does nothing after the end."""
        if self._closed:
            return
        timed = replace(event, at=round(time.monotonic() - self._began, 4))
        self._events.append((self._next, timed))
        self._next += 1
        if isinstance(event, Output):
            self._outputs += 1
            self._trim()
        if self._observe is not None:
            self._observe(timed)
        self._wake()

    def close(self) -> None:
        """Say that no more events come."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _trim(self) -> None:
        if self._outputs <= 2 * _KEPT_OUTPUT:
            return
        surplus = self._outputs - _KEPT_OUTPUT
        kept: deque[tuple[int, Event]] = deque()
        for number, event in self._events:
            if surplus and isinstance(event, Output):
                surplus -= 1
                continue
            kept.append((number, event))
        self._events, self._outputs = kept, _KEPT_OUTPUT

    def _after(self, seen: int) -> list[tuple[int, Event]]:
        # From the newest backwards: a chatty program must not cost the square of what it prints.
        fresh: list[tuple[int, Event]] = []
        for pair in reversed(self._events):
            if pair[0] <= seen:
                break
            fresh.append(pair)
        return fresh[::-1]

    async def read(self, after: int = -1) -> AsyncIterator[tuple[int, Event]]:
        """Yield (number, event) of every event with a number above `after`, until the end."""
        seen = after
        while True:
            changed = self._changed
            fresh = self._after(seen)
            for number, event in fresh:
                seen = number
                yield number, event
            if fresh:
                continue
            if self._closed:
                return
            await changed.wait()
