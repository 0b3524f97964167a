"""What an error says to people."""

from cloche.workspace.errors import ChangesRefused


def test_a_line_break_in_a_name_makes_no_line_of_its_own() -> None:
    error = ChangesRefused(("a\n- all is well: refused", "b: refused"))
    lines = error.explain().split("\n")
    assert lines[1:3] == ["- a\\x0a- all is well: refused", "- b: refused"]
    assert len(lines) == 4
