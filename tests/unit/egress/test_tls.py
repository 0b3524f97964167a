"""The server name, wherever segments and records are cut."""

import pytest
from tests.unit.egress.hellos import hello, in_records, with_names

from cloche.egress.tls import LONGEST_HELLO, Hello, HelloReader, server_name


def test_the_name_of_a_real_client_is_read_and_folded() -> None:
    assert server_name(hello("ok.example.org")) == "ok.example.org"
    assert server_name(with_names(b"OK.Example.ORG")) == "ok.example.org"


def test_the_name_is_the_same_wherever_segments_are_cut() -> None:
    data = hello("ok.example.org")
    for cut in range(len(data)):
        assert server_name(data[:cut]) is Hello.INCOMPLETE, cut
    assert server_name(data + b"what follows") == "ok.example.org"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 20, 100, 255])
def test_the_name_is_the_same_however_records_are_cut(size: int) -> None:
    data = in_records(hello("ok.example.org"), size)
    assert server_name(data) == "ok.example.org"
    for cut in range(0, len(data), 11):
        assert server_name(data[:cut]) is Hello.INCOMPLETE, cut


def test_a_hello_without_a_name_says_so() -> None:
    assert server_name(hello(None)) is Hello.NO_NAME


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x\r\n",
        b"\x15\x03\x01\0\x02\x02\x28",
        b"\x16\x02\x01\0\x05",
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\0\x04\x02\0\0\0",
        b"\x16\x03\x01\0\x04\x01\xff\xff\xff",
        in_records(hello("ok.example.org"), 20)[:25] + b"\x17\x03\x01\0\x01x",
        with_names(b"ok.example.org", b"evil.example.org"),
        with_names("m\u00fcnchen".encode()),
        with_names(),
    ],
)
def test_what_is_not_one_clear_hello_is_refused(data: bytes) -> None:
    assert server_name(data) is Hello.NOT_TLS


def test_a_hello_without_end_is_given_up() -> None:
    endless = in_records(bytes(5) + b"\x01\0\xff\0" + bytes(LONGEST_HELLO), 1)
    assert server_name(endless[:LONGEST_HELLO]) is Hello.INCOMPLETE
    assert server_name(endless[: LONGEST_HELLO + 1]) is Hello.NOT_TLS


def test_a_hello_in_the_smallest_pieces_is_looked_at_once() -> None:
    """A program inside decides how many pieces there are, and our time is not its own to spend."""
    reader, looked = HelloReader(), 0
    real = reader._found

    def counting() -> str | Hello | None:
        nonlocal looked
        looked += 1
        return real()

    data = in_records(bytes(5) + b"\x01\0\xff\0" + bytes(10_000), 1)
    reader._found = counting  # type: ignore[method-assign]
    assert all(reader.feed(data[i : i + 1]) is Hello.INCOMPLETE for i in range(len(data)))
    assert looked == 10_004
