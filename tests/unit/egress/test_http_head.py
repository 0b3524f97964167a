"""A head has one meaning or none."""

import pytest

from cloche.egress.denial import Refused
from cloche.egress.http_head import parse_head

START = b"POST /x HTTP/1.1\r\nHost: ok.example.org"


def test_a_head_is_taken_apart() -> None:
    head = parse_head(START + b"\r\nX-A: 1\r\nx-a:\t2 \r\nEmpty:")
    assert (head.method, head.target) == ("POST", "/x")
    assert head.values("x-a") == ["1", "2"]
    assert head.values("empty") == [""]
    assert head.body_length() == 0


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        (b"", 0),
        (b"\r\nContent-Length: 0", 0),
        (b"\r\nContent-Length: 12", 12),
        (b"\r\ncontent-length:007", 7),
        (b"\r\nTransfer-Encoding: chunked", None),
        (b"\r\nTransfer-Encoding: Chunked", None),
    ],
)
def test_a_body_has_one_length(headers: bytes, length: int | None) -> None:
    assert parse_head(START + headers).body_length() == length


@pytest.mark.parametrize(
    "headers",
    [
        b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"\r\nContent-Length: 5\r\nContent-Length: 5",
        b"\r\nContent-Length: 5, 5",
        b"\r\nContent-Length: +5",
        b"\r\nContent-Length: -1",
        b"\r\nContent-Length: 0x5",
        b"\r\nContent-Length: 5 5",
        b"\r\nContent-Length:",
        b"\r\nContent-Length: \xb2",
        b"\r\nContent-Length: " + b"9" * 19,
        b"\r\nTransfer-Encoding: xchunked",
        b"\r\nTransfer-Encoding: gzip, chunked",
        b"\r\nTransfer-Encoding: chunked, chunked",
        b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"\r\nTransfer-Encoding: \x0bchunked",
        b"\r\nTransfer-Encoding: identity",
    ],
)
def test_ambiguous_framing_is_refused(headers: bytes) -> None:
    head = parse_head(START + headers)
    with pytest.raises(Refused) as refusal:
        head.body_length()
    assert refusal.value.rule == "network.malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /",
        b"GET / HTTP/0.9",
        b"GET / HTTP/2.0",
        b"PRI * HTTP/2.0",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GE\tT / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"G(T / HTTP/1.1",
        START + b"\nX: bare",
        START + b"\rX: bare",
        START + b"\r\nX: a\0b",
        START + b"\r\n folded",
        START + b"\r\nX : blank",
        START + b"\r\n: no name",
        START + b"\r\nno colon",
        START + b"\r\nX\xe9: name",
        START + b"\r\nX: 1" * 201,
    ],
)
def test_what_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        parse_head(data)
    assert refusal.value.rule == "network.malformed"


def test_a_rebuilt_head_says_our_host_once_and_nothing_hop_by_hop() -> None:
    head = parse_head(
        START
        + b"\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nTE: trailers"
        + b"\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: x\r\nX-Kept: yes"
    )
    assert head.rebuilt("other.example.org", "/y") == (
        b"POST /y HTTP/1.1\r\nHost: other.example.org\r\nX-Kept: yes\r\nConnection: close\r\n\r\n"
    )
