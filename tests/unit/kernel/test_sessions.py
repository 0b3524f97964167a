"""Parts side by side: who failed is told, and nothing that failed is lost."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from cloche.errors import ClocheError
from cloche.kernel.sessions import side_by_side
from cloche.model.event import Event, Note


def sessions(*names: str) -> tuple[tuple[Any, ...], list[tuple[str, Event]]]:
    told: list[tuple[str, Event]] = []

    def one(name: str) -> SimpleNamespace:
        def emit(event: Event) -> None:
            told.append((name, event))

        prefix = "" if name == "." else name
        return SimpleNamespace(part=name, emit=emit, transaction=SimpleNamespace(prefix=prefix))

    return tuple(map(one, names)), told


def texts(told: list[tuple[str, Event]]) -> list[tuple[str, str]]:
    return [(name, event.text) for name, event in told if isinstance(event, Note)]


@pytest.mark.parametrize("error", [OSError(28, "no room"), ClocheError("broken")])
def test_who_failed_first_is_told_and_ends_the_others(error: Exception) -> None:
    parts, told = sessions("a", "b", "c")

    async def act(session: Any) -> None:
        if session.part == "c":
            await asyncio.sleep(60)
        if session.part == "b":
            await asyncio.sleep(0)
            raise error
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("while it ended")

    with pytest.raises(type(error)) as caught:
        asyncio.run(side_by_side(act, parts))
    said = texts(told)
    assert ("c", "stopped, because b failed") in said
    assert ("a", "it failed as well: while it ended") in said
    of_system = ("b", f"it failed: {error}") in said
    assert of_system or str(caught.value).startswith("b: ")


def test_what_lies_around_others_comes_after_them() -> None:
    parts, _ = sessions(".", "a/b", "c")
    done: list[str] = []

    async def act(session: Any) -> str:
        await asyncio.sleep(0 if session.part == "." else 0.01)
        done.append(session.part)
        return str(session.part)

    assert asyncio.run(side_by_side(act, parts)) == (".", "a/b", "c")
    assert done[-1] == "."
