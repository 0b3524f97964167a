"""Output becomes lines that cannot act on a terminal and cannot grow without end."""

import json

from hypothesis import given
from hypothesis import strategies as st

from cloche.kernel.lines import LineReader, printable
from cloche.model.diagnostic import Diagnostic, Severity
from cloche.model.event import Event, Found, Progress
from cloche.runtimes.provider import Reading


class Recorder:
    """A parser that remembers what it was given."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def line(self, stream: str, text: str) -> Reading:
        self.lines.append((stream, text))
        found = Diagnostic(tool="t", severity=Severity.ERROR, message=text)
        return Reading(done=1, label=text, diagnostics=(found,))

    def end(self, exit_status: int) -> Reading:
        return Reading(label=str(exit_status))


def test_lines_are_joined_over_chunks_and_streams_kept_apart() -> None:
    events: list[Event] = []
    parser = Recorder()
    reader = LineReader("s", parser, 2, events.append)
    reader.feed("stdout", b"one\ntw")
    reader.feed("stderr", b"err\n")
    reader.feed("stdout", b"o\nlast")
    reader.end(0)
    assert parser.lines == [
        ("stdout", "one"),
        ("stderr", "err"),
        ("stdout", "two"),
        ("stdout", "last"),
    ]
    progress = [e for e in events if isinstance(e, Progress)]
    assert [(p.done, p.total) for p in progress] == [(1, 2), (2, 2), (3, 3), (4, 4)]


def test_a_line_without_end_does_not_grow() -> None:
    parser = Recorder()
    reader = LineReader("s", parser, 0, lambda _: None)
    for _ in range(100):
        reader.feed("stdout", b"x" * 4096)
    assert all(len(text) <= 8192 for _, text in parser.lines)


def test_diagnostics_are_bounded() -> None:
    events: list[Event] = []
    reader = LineReader("s", Recorder(), 0, events.append)
    reader.feed("stdout", b"x\n" * 5000)
    assert sum(isinstance(e, Found) for e in events) == 1000


def test_escape_sequences_do_not_survive() -> None:
    assert printable(b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://x\x1b\\link") == "red link"


@given(st.binary(max_size=20_000))
def test_no_control_byte_survives(data: bytes) -> None:
    text = printable(data)
    assert all(c == "\t" or ord(c) >= 0x20 for c in text)
    assert not any(0x7F <= ord(c) <= 0x9F for c in text)


class Unescaping:
    """A parser of a form in which control bytes may be written as text."""

    def line(self, stream: str, text: str) -> Reading:
        del stream
        return Reading(done=1, label=json.loads(text))

    def end(self, exit_status: int) -> Reading:
        del exit_status
        return Reading()


def test_a_label_cannot_act_on_a_terminal_either() -> None:
    events: list[Event] = []
    reader = LineReader("s", Unescaping(), 1, events.append)
    reader.feed("stdout", b'"a\\u001b]0;title\\u0007\\n\\rb"\n')
    assert events == [Progress(step="s", done=1, total=1, label="ab")]
