"""A step's output as lines: bounded, stripped of what could act on a terminal, then parsed."""

import re
from collections.abc import Callable

from cloche.model.event import Event, Found, Progress
from cloche.runtimes.provider import OutputParser, Reading

_LONGEST = 8 * 1024
_MOST_DIAGNOSTICS = 1000
_MOST_UNITS = 1_000_000
# CSI, OSC and other escape sequences, then every control byte but the tab.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-Z\\-_])")
# A bar is drawn again and again on one line, with a carriage return between.
_ENDS = re.compile(rb"\r?\n|\r(?=[^\n])")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class LineReader:
    """Cuts two streams into lines and feeds them to a provider's parser."""

    def __init__(
        self, step: str, parser: OutputParser | None, expected: int, emit: Callable[[Event], None]
    ) -> None:
        self._step, self._parser, self._expected, self._emit = step, parser, expected, emit
        self._partial = {"stdout": b"", "stderr": b""}
        self._done = 0
        self._found = 0
        self.codes: set[str] = set()

    def feed(self, stream: str, data: bytes) -> None:
        """Take bytes as they came."""
        if self._parser is None:
            return
        *lines, rest = _ENDS.split(self._partial[stream] + data)
        # A line without end must not grow without end.
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest[:_LONGEST]], b""
        self._partial[stream] = rest
        for line in lines:
            self._take(self._parser.line(stream, printable(line)))

    def end(self, status: int) -> None:
        """Take what is left and the exit status."""
        if self._parser is None:
            return
        for stream, rest in self._partial.items():
            if rest:
                self._take(self._parser.line(stream, printable(rest)))
        self._take(self._parser.end(status))

    def _take(self, reading: Reading) -> None:
        for diagnostic in reading.diagnostics:
            if self._found < _MOST_DIAGNOSTICS:
                self._found += 1
                self.codes.add(diagnostic.code)
                self._emit(Found(step=self._step, diagnostic=diagnostic))
        if reading.done or reading.total:
            self._done += reading.done
            self._expected = min(reading.total, _MOST_UNITS) or self._expected
            total = max(self._expected, self._done)
            self._emit(
                Progress(
                    step=self._step, done=self._done, total=total, label=_plain(reading.label[:200])
                )
            )


def printable(line: bytes) -> str:
    """Decode at most 8 KiB of a line and drop escape sequences and control bytes."""
    return harmless(line[:_LONGEST]).rstrip()


def harmless(text: bytes) -> str:
    """Decode what a program printed, without escape sequences and control bytes."""
    return _plain(text.decode("utf-8", "replace"))


def _plain(text: str) -> str:
    return _CONTROLS.sub("", _ESCAPES.sub("", text))
