import os
import threading

from cloche.cli.stdin import StandardInput


def test_gives_what_comes_and_then_the_end() -> None:
    ours, theirs = os.pipe()
    given = StandardInput(ours)
    os.write(theirs, b"hello")
    assert given.read() == b"hello"
    os.close(theirs)
    assert given.read() == b""
    os.close(ours)


def test_a_reader_is_let_go_though_nobody_closes_the_other_end() -> None:
    ours, theirs = os.pipe()
    given = StandardInput(ours)
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(given.read()), daemon=True)
    reader.start()
    given.close()
    reader.join(timeout=10)
    assert said == [b""]
    os.close(ours)
    os.close(theirs)
