"""What an error says to people."""

from cloche.workspace.errors import ChangesRefused


def test_a_line_break_in_a_name_makes_no_line_of_its_own() -> None:
    error = ChangesRefused(("a\n- all is well: refused", "b: refused"))
    lines = error.explain().split("\n")
    assert lines[1:3] == ["- a\\x0a- all is well: refused", "- b: refused"]
    assert len(lines) == 4


def test_many_reasons_are_told_by_kind_and_all_of_them_kept() -> None:
    pipes = tuple(f"p{number}: it is a named pipe" for number in range(50_000))
    sizes = tuple(f"s{n}: it has {n} bytes, at most 5 bytes allowed" for n in range(7, 107))
    error = ChangesRefused((*pipes, *sizes, "x: it is setuid"))
    lines = error.explain().split("\n")
    assert len(lines) < 20
    assert "- p0: it is a named pipe" in lines
    assert "- x: it is setuid" in lines
    assert "- and 49,995 more: it is a named pipe" in lines
    assert "- and 95 more: it has ... bytes, at most ... bytes allowed" in lines
    assert len(error.reasons) == 50_101


def test_as_many_kinds_as_files_flood_nothing() -> None:
    error = ChangesRefused(tuple(f"p: reason {chr(0x4E00 + n)}" for n in range(5000)))
    assert len(error.explain().split("\n")) <= 43
    assert "and 4,960 more of other kinds" in error.explain()
