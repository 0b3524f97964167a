"""The lines in which two texts differ, cut to what a person reads and safe to print. Pure."""

import difflib
from dataclasses import dataclass
from typing import ClassVar

from cloche.workspace.screen import shown

_MOST_COMPARED = 2000
"""Lines of one side between the first and the last difference: difflib's time grows with their square."""
_MOST_LINES = 200
"""Lines shown of one file."""
_MOST_IN_ALL = 5000
_LONGEST_LINE = 400
"""Characters."""
_CONTEXT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunks:
    """A unified difference without its file names, or why there is none."""

    LONGEST: ClassVar[int] = 1 << 20
    """Bytes of a file that is compared line by line."""

    lines: tuple[str, ...] = ()
    """Ready to print."""
    note: str = ""


def compare_text(before: bytes | None, after: bytes | None, *, used: int) -> Hunks:
    """Compare two files; None is one that is too long or cannot be read, `used` the lines shown so far."""
    if used >= _MOST_IN_ALL:
        return Hunks(note=f"not shown: {_MOST_IN_ALL} lines were shown already")
    if before is None or after is None:
        return Hunks(
            note=f"not shown: longer than {Hunks.LONGEST} bytes, not readable, or too much was read already"
        )
    old, new = _lines(before), _lines(after)
    if old is None or new is None:
        return Hunks(note="binary")
    head, tail = _common(old, new)
    # What both begin and end with, but for the context, is not given to difflib.
    start, keep = max(0, head - _CONTEXT), max(0, tail - _CONTEXT)
    old_part, new_part = old[start : len(old) - keep], new[start : len(new) - keep]
    if max(len(old_part), len(new_part)) > _MOST_COMPARED:
        return Hunks(note=f"not shown: more than {_MOST_COMPARED} lines between the differences")
    lines = []
    matcher = difflib.SequenceMatcher(None, old_part, new_part)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        removed = _range(start + first[1], last[2] - first[1])
        added = _range(start + first[3], last[4] - first[3])
        lines.append(f"@@ -{removed} +{added} @@")
        for tag, a, b, c, d in group:
            if tag == "equal":
                lines += [f" {_printable(line)}" for line in old_part[a:b]]
                continue
            lines += [f"-{_printable(line)}" for line in old_part[a:b]]
            lines += [f"+{_printable(line)}" for line in new_part[c:d]]
    room = min(_MOST_LINES, _MOST_IN_ALL - used)
    more = len(lines) - room
    note = f"{more} more lines" if more > 0 else ""
    return Hunks(lines=tuple(lines[:room]), note=note)


def _lines(content: bytes) -> list[str] | None:
    """Give the lines, None when this is no text."""
    if b"\0" in content:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += "\n"  # no line has one: it tells the last from one that ends
        return lines
    return lines[:-1]


def _common(old: list[str], new: list[str]) -> tuple[int, int]:
    """Give how many lines both begin with, and how many of the rest both end with."""
    shortest = min(len(old), len(new))
    head = next((n for n in range(shortest) if old[n] != new[n]), shortest)
    rest = shortest - head
    tail = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    return head, tail


def _range(start: int, length: int) -> str:
    """Give a range of lines as diff(1) writes it."""
    first = start if length == 0 else start + 1
    return str(first) if length == 1 else f"{first},{length}"


def _printable(line: str) -> str:
    text, ending, _ = line.partition("\n")
    cut = text[:_LONGEST_LINE]
    more = f" ... {len(text) - _LONGEST_LINE} more characters" if len(text) > _LONGEST_LINE else ""
    return (
        "\t".join(map(shown, cut.split("\t")))
        + more
        + ("  (no newline at the end)" if ending else "")
    )
