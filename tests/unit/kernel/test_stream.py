"""The stream gives every reader the same events in the same order."""

import asyncio

from cloche.kernel.stream import EventStream
from cloche.model.event import Event, Note, Output


async def read_all(stream: EventStream) -> list[Event]:
    return [event async for _, event in stream.read()]


def test_a_late_reader_sees_everything_from_the_start() -> None:
    async def scene() -> tuple[list[Event], list[Event]]:
        stream = EventStream()
        early = asyncio.create_task(read_all(stream))
        await asyncio.sleep(0)
        stream.emit(Note(text="one"))
        await asyncio.sleep(0)
        stream.emit(Note(text="two"))
        stream.close()
        return await early, await read_all(stream)

    early, late = asyncio.run(scene())
    assert [e.text for e in early if isinstance(e, Note)] == ["one", "two"]
    assert early == late


def test_nothing_is_added_after_the_end() -> None:
    async def scene() -> list[Event]:
        stream = EventStream()
        stream.close()
        stream.emit(Note(text="late"))
        return await read_all(stream)

    assert asyncio.run(scene()) == []


def test_a_flood_of_output_drops_old_output_and_nothing_else() -> None:
    async def scene() -> list[Event]:
        stream = EventStream()
        stream.emit(Note(text="first"))
        for _ in range(20_000):
            stream.emit(Output(step="s", stream="stdout", data=b"x"))
        stream.emit(Note(text="last"))
        stream.close()
        return await read_all(stream)

    events = asyncio.run(scene())
    assert len(events) <= 4_002
    assert [e.text for e in events if isinstance(e, Note)] == ["first", "last"]
