"""Lines that differ: what difflib says, cut, and nothing a terminal obeys."""

import difflib
import random

from cloche.workspace.hunks import Hunks, compare_text


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_the_hunks_are_those_of_a_unified_diff() -> None:
    chance = random.Random(6)
    for _ in range(300):
        old = [chance.choice("abcdef") for _ in range(chance.randrange(30))]
        new = [line for line in old if chance.random() > 0.2]
        for _ in range(chance.randrange(4)):
            new.insert(chance.randrange(len(new) + 1), chance.choice("abcxyz"))
        found = compare_text(text(old), text(new), used=0).lines
        assert replayed(old, list(found)) == new
        plain = list(difflib.unified_diff(old, new, lineterm=""))[2:]
        assert len(found) <= len(plain) + 8


def replayed(old: list[str], hunks: list[str]) -> list[str]:
    """Do what patch(1) does."""
    new, at = [], 0
    for line in hunks:
        if line.startswith("@@"):
            first, _, length = line.split()[1][1:].partition(",")
            begin = int(first) if length == "0" else int(first) - 1
            new += old[at:begin]
            at = begin
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            assert old[at] == line[1:]
            new += [line[1:]] if line.startswith(" ") else []
            at += 1
    return new + old[at:]


def test_a_missing_line_break_at_the_end_is_a_difference_and_is_told() -> None:
    found = compare_text(b"a\nb", b"a\nb\n", used=0)
    assert found.lines == ("@@ -1,2 +1,2 @@", " a", "-b  (no newline at the end)", "+b")


def test_what_a_terminal_obeys_is_escaped_and_a_tab_is_not() -> None:
    found = compare_text(b"", "\x1b]0;x\x07\ta\rb\u202ec\\\n".encode(), used=0)
    assert found.lines[1:] == ("+\\x1b]0;x\\x07\ta\\x0db\\u202ec\\\\",)


def test_binary_and_long_files_are_told_as_such() -> None:
    assert compare_text(b"a\0", b"", used=0) == Hunks(note="binary")
    assert compare_text(b"\xff", b"", used=0) == Hunks(note="binary")
    assert "longer than" in compare_text(None, b"", used=0).note


def test_long_texts_and_lines_are_cut_with_a_note() -> None:
    found = compare_text(b"", b"x\n" * 1000, used=0)
    assert len(found.lines) == 200
    assert found.note == "801 more lines"
    assert "5000 lines" in compare_text(b"", b"x\n", used=5000).note
    (line,) = compare_text(b"", b"y" * 1000 + b"\n", used=0).lines[1:]
    assert line == f"+{'y' * 400} ... 600 more characters"


def test_texts_made_to_take_long_are_not_compared_line_by_line() -> None:
    old, new = text(["a", "b"] * 5000), text(["b", "b", "a"] * 4000)
    assert "between the differences" in compare_text(old, new, used=0).note


def test_a_small_change_in_a_long_text_is_shown() -> None:
    lines = [str(number) for number in range(90_000)]
    changed = [*lines[:50_000], "new", *lines[50_001:]]
    found = compare_text(text(lines), text(changed), used=0)
    assert found.lines[0] == "@@ -49998,7 +49998,7 @@"
    assert "-50000" in found.lines
    assert "+new" in found.lines
