"""The server name of a TLS ClientHello, over segments and records. RFC 8446, RFC 6066 section 3."""

from enum import Enum


class Hello(Enum):
    """What the first bytes are, when they are not a hello with a name."""

    INCOMPLETE = "incomplete"
    NOT_TLS = "not TLS"
    NO_NAME = "no server name"


LONGEST_HELLO = 65_536
_LONGEST_RECORD = 16_640


class HelloReader:
    """Takes the first bytes of a stream as they come; looks at each once, however small the pieces are."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._offset = 0
        self._handshake = bytearray()

    def feed(self, data: bytes) -> str | Hello:
        """Give the server name in lower case, or what stands in its place so far."""
        self._data += data
        while True:
            head = bytes(self._data[self._offset : self._offset + 5])
            if head[:1] not in (b"", b"\x16"):
                return Hello.NOT_TLS
            if len(head) < 5:
                break
            length = int.from_bytes(head[3:5], "big")
            if head[1] != 3 or not 0 < length <= _LONGEST_RECORD:
                return Hello.NOT_TLS
            end = self._offset + 5 + length
            if len(self._data) < end:
                break
            self._handshake += self._data[self._offset + 5 : end]
            self._offset = end
            if (found := self._found()) is not None:
                return found
        return Hello.INCOMPLETE if len(self._data) <= LONGEST_HELLO else Hello.NOT_TLS

    def _found(self) -> str | Hello | None:
        if len(self._handshake) < 4:
            return None
        wanted = 4 + int.from_bytes(self._handshake[1:4], "big")
        if self._handshake[0] != 1 or wanted > LONGEST_HELLO:
            return Hello.NOT_TLS
        return _name(bytes(self._handshake[:wanted])) if len(self._handshake) >= wanted else None


def server_name(data: bytes) -> str | Hello:
    """Give the server name in lower case, or what stands in its place."""
    return HelloReader().feed(data)


def _name(hello: bytes) -> str | Hello:
    try:
        place = 4 + 2 + 32  # header, version, random
        place += 1 + hello[place]  # session id
        place += 2 + int.from_bytes(hello[place : place + 2], "big")  # cipher suites
        place += 1 + hello[place]  # compression methods
        end = min(place + 2 + int.from_bytes(hello[place : place + 2], "big"), len(hello))
        place += 2
        while place + 4 <= end:
            kind = int.from_bytes(hello[place : place + 2], "big")
            length = int.from_bytes(hello[place + 2 : place + 4], "big")
            body = hello[place + 4 : place + 4 + length]
            if kind == 0:
                return _first_host(body)
            place += 4 + length
    except IndexError:
        return Hello.NOT_TLS
    return Hello.NO_NAME


def _first_host(body: bytes) -> str | Hello:
    if len(body) < 5 or body[2] != 0:
        return Hello.NOT_TLS
    length = int.from_bytes(body[3:5], "big")
    if len(body) != 5 + length:  # more than one name: two readers could choose differently
        return Hello.NOT_TLS
    try:
        return body[5:].decode("ascii").lower()
    except UnicodeDecodeError:
        return Hello.NOT_TLS
