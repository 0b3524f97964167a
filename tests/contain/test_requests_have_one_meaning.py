"""A plain request to the allowed name reaches it alone: not one with two meanings, and nothing behind it."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from tests.contain.attacker import denied
from tests.contain.upstream_double import Upstream

Attack = Callable[..., SimpleNamespace]

CRLF = "\\r\\n"
GOOD = f"Host: ok.example.org{CRLF}"
HEADS = {
    "another Host": f"GET / HTTP/1.1{CRLF}Host: evil.example.org{CRLF}",
    "two Hosts": f"GET / HTTP/1.1{CRLF}{GOOD}Host: evil.example.org{CRLF}",
    "the same Host twice": f"GET / HTTP/1.1{CRLF}{GOOD}{GOOD}",
    "another port": f"GET / HTTP/1.1{CRLF}Host: ok.example.org:81{CRLF}",
    "a user before the host": f"GET / HTTP/1.1{CRLF}Host: ok.example.org@evil.example.org{CRLF}",
    "a backslash": f"GET / HTTP/1.1{CRLF}Host: ok.example.org\\\\evil.example.org{CRLF}",
    "a whole address": f"GET http://evil.example.org/ HTTP/1.1{CRLF}{GOOD}",
    "length and chunks": f"POST / HTTP/1.1{CRLF}{GOOD}Content-Length: 5{CRLF}Transfer-Encoding: chunked{CRLF}",
    "two lengths": f"POST / HTTP/1.1{CRLF}{GOOD}Content-Length: 5{CRLF}Content-Length: 6{CRLF}",
    "a length with a sign": f"POST / HTTP/1.1{CRLF}{GOOD}Content-Length: +5{CRLF}",
    "other chunks": f"POST / HTTP/1.1{CRLF}{GOOD}Transfer-Encoding: xchunked{CRLF}",
    "chunks of chunks": f"POST / HTTP/1.1{CRLF}{GOOD}Transfer-Encoding: gzip, chunked{CRLF}",
    "a blank before the colon": f"POST / HTTP/1.1{CRLF}{GOOD}Transfer-Encoding : chunked{CRLF}",
    "a folded line": f"GET / HTTP/1.1{CRLF}{GOOD}X: a{CRLF} evil.example.org{CRLF}",
    "a bare line feed": f"GET / HTTP/1.1{CRLF}{GOOD}X: a\\nHost: evil.example.org{CRLF}",
    "a bare carriage return": f"GET / HTTP/1.1{CRLF}{GOOD}X: a\\rHost: evil.example.org{CRLF}",
    "a NUL": f"GET / HTTP/1.1{CRLF}{GOOD}X: a\\0evil.example.org{CRLF}",
    "an old form": f"GET /evil.example.org{CRLF}",
    "the preface of HTTP/2": f"PRI * HTTP/2.0{CRLF}",
    "a long header": f"GET / HTTP/1.1{CRLF}{GOOD}X: ' + b'evil' * 25_000 + b'{CRLF}",
    "many headers": f"GET / HTTP/1.1{CRLF}{GOOD}' + b'X: evil{CRLF}' * 500 + b'",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_request_with_two_meanings_reaches_nobody(
    attack: Attack, upstream: Upstream, head: str
) -> None:
    tunnelled = "b'CONNECT ok.example.org:80 HTTP/1.1\\r\\n\\r\\n'"
    done = attack(
        f"words = b'{head}{CRLF}' + b'hello'\n"
        "say(talk('ok.example.org', 80, words).split('\\r\\n')[0])\n"
        f"say(talk('127.0.0.1', 3128, {tunnelled}, words, pause=0.2))\n"
    )
    assert "served" not in done.stdout
    assert denied(done) <= {"network.malformed", "network.host_header"}
    assert denied(done)
    assert upstream.connections() == 0


BEHIND = r"b'GET /evil HTTP/1.1\r\nHost: evil.example.org\r\n\r\n'"
REQUESTS = {
    "nothing between": r"b'GET / HTTP/1.1\r\nHost: ok.example.org\r\n\r\n'",
    "a body of a length": r"b'POST / HTTP/1.1\r\nHost: ok.example.org\r\nContent-Length: 2\r\n\r\nhi'",
    "a body in chunks": r"b'POST / HTTP/1.1\r\nHost: ok.example.org\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n'",
    "an upgrade": r"b'GET / HTTP/1.1\r\nHost: ok.example.org\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'",
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_second_request_behind_the_first_reaches_nobody(
    attack: Attack, upstream: Upstream, request_: str
) -> None:
    done = attack(f"say(talk('ok.example.org', 80, {request_} + {BEHIND}))")
    assert "served" in done.stdout
    assert upstream.connections() == 1
    assert b"evil" not in upstream.everything()
    assert b"onnection: close" in upstream.everything()


def test_a_chunk_longer_than_its_size_ends_the_request(attack: Attack, upstream: Upstream) -> None:
    attack(
        "say(talk('ok.example.org', 80, b'POST / HTTP/1.1\\r\\nHost: ok.example.org\\r\\n'\n"
        "  b'Transfer-Encoding: chunked\\r\\n\\r\\n2\\r\\nhiGET /evil HTTP/1.1\\r\\n\\r\\n'))"
    )
    assert b"evil" not in upstream.everything()
