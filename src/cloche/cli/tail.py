"""The newest lines of a step's output: what a person is shown beside its bar, and after a failure."""

from collections import deque

from cloche.kernel.lines import printable

_KEPT = 30
_LONGEST = 8 * 1024
"""Bytes; a line without end is cut, not kept."""


class Tail:
    """Follows one step. Bytes come as the program wrote them, which is seldom a line at a time."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._open = {"stdout": b"", "stderr": b""}
        self.newest = ""

    def feed(self, stream: str, data: bytes) -> list[str]:
        """Take bytes; give the lines that they end, fit to be printed."""
        *ended, rest = (self._open[stream] + data).split(b"\n")
        self._open[stream] = rest[-_LONGEST:]
        lines = [_drawn_last(line) for line in ended]
        self._kept.extend(lines)
        for line in (*lines, _drawn_last(rest)):
            self.newest = line.strip() or self.newest
        return lines

    def end(self) -> list[str]:
        """Take what has no end yet for lines; give them."""
        rests = [_drawn_last(rest) for rest in self._open.values()]
        self._open = dict.fromkeys(self._open, b"")
        lines = [rest for rest in rests if rest]
        self._kept.extend(lines)
        return lines

    def lines(self, *, diagnosed: bool) -> list[str]:
        """Give what was kept. Where its errors were `diagnosed`, JSON for a program is left out."""
        return [line for line in self._kept if not (diagnosed and line.startswith('{"'))]


def _drawn_last(line: bytes) -> str:
    # A bar is drawn over and over on one line, with carriage returns between.
    return printable(line.rstrip(b"\r").rpartition(b"\r")[2])
