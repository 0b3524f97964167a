"""ClientHellos: real ones, and ones in any shape."""

import ssl


def hello(name: str | None) -> bytes:
    """Give what a real client sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    talk = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    try:
        talk.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake with nobody")


def in_records(data: bytes, size: int) -> bytes:
    """Give the same handshake cut into records of `size` bytes."""
    handshake = data[5:]
    pieces = [handshake[i : i + size] for i in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x01" + len(p).to_bytes(2, "big") + p for p in pieces)


def with_names(*names: bytes) -> bytes:
    """Give a hello whose server name extension lists `names`."""
    listed = b"".join(b"\0" + len(name).to_bytes(2, "big") + name for name in names)
    body = len(listed).to_bytes(2, "big") + listed
    extension = b"\0\0" + len(body).to_bytes(2, "big") + body
    hello_body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    hello_body += len(extension).to_bytes(2, "big") + extension
    handshake = b"\x01" + len(hello_body).to_bytes(3, "big") + hello_body
    return b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake
