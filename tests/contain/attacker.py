"""What an attacker of the network is given: words to speak with, one allowed name, and many others."""

from types import SimpleNamespace

from tests.contain.upstream_double import ADDRESS, GIT, HTTP, HTTPS, NUMBER

PRELUDE = r"""
import errno, json, socket, ssl, struct, sys, time
def say(*words): print(*words, flush=True)
def hello(name):
    context = ssl.create_default_context(); context.check_hostname = False
    sent = ssl.MemoryBIO(); talk = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    try: talk.do_handshake()
    except ssl.SSLWantReadError: pass
    return sent.read()
def reply(connection, seconds=6):
    connection.settimeout(seconds); got = b''
    try:
        while block := connection.recv(65536):
            got += block
            if got.endswith(b'heard') or got.endswith(b'served'): break
    except OSError as error:
        return got.decode('latin-1') + f'<{type(error).__name__}>'
    return got.decode('latin-1')
def talk(host, port, *pieces, pause=0.0):
    try: connection = socket.create_connection((host, port), 6)
    except OSError as error: return f'<{type(error).__name__}>'
    with connection:
        try:
            for piece in pieces:
                connection.sendall(piece); time.sleep(pause)
        except OSError: pass
        return reply(connection)
def tunnel(target, *pieces, pause=0.0):
    with socket.create_connection(('127.0.0.1', 3128), 6) as connection:
        connection.settimeout(6)
        connection.sendall(f'CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n'.encode('utf-8'))
        answer = connection.recv(4096).decode('latin-1')
        if ' 200 ' not in answer: return answer.split('\r\n')[0]
        try:
            for piece in pieces:
                connection.sendall(piece); time.sleep(pause)
        except OSError: pass
        return reply(connection)
"""

TRANSLATED = f"64:ff9b::{NUMBER >> 16:x}:{NUMBER & 0xFFFF:x}"
_OURS = {"ports": [HTTPS, HTTP, GIT], "trusted": [ADDRESS]}
RULES = [
    {"host": "ok.example.org", **_OURS},
    {"host": "*.wild.example.org", **_OURS},
    *(
        {"host": f"{name}.example.net", "ports": [HTTPS, HTTP]}
        for name in ("loop", "private", "metadata", "mapped", "translated", "six", "mixed")
    ),
]
NAMES = {
    "ok.example.org": [ADDRESS],
    "a.wild.example.org": [ADDRESS],
    "loop.example.net": [ADDRESS],
    "private.example.net": ["10.0.0.5"],
    "metadata.example.net": ["169.254.169.254"],
    "mapped.example.net": [f"::ffff:{ADDRESS}"],
    "translated.example.net": [TRANSLATED],
    "six.example.net": ["::1"],
    "mixed.example.net": ["8.8.8.8", "10.0.0.5"],
    # No rule names these; were one of them asked for, it would be reached.
    "evil.example.org": [ADDRESS],
    "evilwild.example.org": [ADDRESS],
    "wild.example.org": [ADDRESS],
}


def denied(done: SimpleNamespace) -> set[str]:
    return {event["rule"] for event in done.events if event["type"] == "denied"}


def tried(done: SimpleNamespace) -> set[str]:
    return {event["tried"] for event in done.events if event["type"] == "denied"}
