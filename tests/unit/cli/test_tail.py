"""What a person is shown of a step's output."""

from cloche.cli.tail import Tail


def test_pieces_of_a_line_are_one_line() -> None:
    tail = Tail()
    assert tail.feed("stderr", b"\x1b[31mer") == []
    assert tail.feed("stderr", b"ror\x1b[0m: no\nnext") == ["error: no"]
    assert tail.newest == "next"
    assert tail.end() == ["next"]
    assert tail.lines(diagnosed=False) == ["error: no", "next"]


def test_streams_do_not_run_into_each_other() -> None:
    tail = Tail()
    tail.feed("stdout", b"out")
    assert tail.feed("stderr", b"err\n") == ["err"]
    assert tail.feed("stdout", b"put\n") == ["output"]


def test_of_a_bar_that_is_drawn_again_and_again_the_last_is_kept() -> None:
    tail = Tail()
    assert tail.feed("stderr", b"1/3\r2/3\r3/3\r\ndone\r\n") == ["3/3", "done"]
    tail.feed("stderr", b"4/9\r5/9\r")
    assert tail.newest == "5/9"


def test_a_line_without_end_is_cut_and_lines_without_end_are_few() -> None:
    tail = Tail()
    for _ in range(100):
        tail.feed("stdout", b"x" * 8192)
    assert max(map(len, tail.end())) <= 8192
    tail.feed("stdout", b"line\n" * 10_000)
    assert len(tail.lines(diagnosed=False)) == 30


def test_json_for_programs_is_left_out_where_its_errors_were_told() -> None:
    tail = Tail()
    tail.feed("stdout", b'{"reason":"build-finished"}\nerror: no\n')
    assert tail.lines(diagnosed=True) == ["error: no"]
    assert len(tail.lines(diagnosed=False)) == 2
