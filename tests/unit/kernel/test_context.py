"""The terms of a run narrow and never widen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.errors import InvalidValue
from cloche.kernel.context import ExecutionContext, RunOptions
from cloche.model.event import Event, Note, Output
from cloche.model.limits import LIMIT_CLASSES

ceilings = st.none() | st.integers(1, 1 << 40)


@given(ceilings, ceilings)
def test_options_never_raise_a_ceiling_of_the_context(own: int | None, wanted: int | None) -> None:
    context = replace(ExecutionContext.full(Path("/p")), max_memory_bytes=own)
    narrowed = context.within(RunOptions(memory_bytes=wanted), ())
    given_ = [value for value in (own, wanted) if value is not None]
    assert narrowed.max_memory_bytes == (min(given_) if given_ else None)


@given(ceilings)
def test_a_context_never_raises_a_limit(ceiling: int | None) -> None:
    context = replace(ExecutionContext.full(Path("/p")), max_memory_bytes=ceiling)
    for limits in LIMIT_CLASSES.values():
        assert context.narrowed(limits).memory_bytes <= limits.memory_bytes


def test_each_callback_gets_its_own_kind() -> None:
    progress: list[Event] = []
    logged: list[tuple[str, bytes]] = []
    context = replace(
        ExecutionContext.full(Path("/p")),
        on_progress=progress.append,
        on_log=lambda stream, data: logged.append((stream, data)),
    )
    note = Note(text="n")
    context.observe(note)
    context.observe(Output(step="s", stream="stdout", data=b"x"))
    assert progress == [note]
    assert logged == [("stdout", b"x")]


def test_a_choice_of_conflicts_is_no_text() -> None:
    text: Any = "abort"
    with pytest.raises(InvalidValue):
        RunOptions(conflicts=text)
