"""Heads of HTTP/1.1 requests, read strictly and written anew: no two readers may differ on one. RFC 9112."""

import re
from dataclasses import dataclass

from cloche.egress.denial import Refused

LONGEST_HEAD = 32_768
_MOST_HEADERS = 200
_FIELD_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rf"({_FIELD_NAME}) ([!-~]+) HTTP/1\.([01])\Z")
_NAME = re.compile(rf"{_FIELD_NAME}\Z")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")
# Hop by hop, or ours to say.
_DROPPED = frozenset(
    [
        "connection",
        "proxy-connection",
        "keep-alive",
        "te",
        "trailer",
        "proxy-authorization",
        "host",
        "upgrade",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request head that has exactly one meaning."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Give every value of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    def body_length(self) -> int | None:
        """Give the length of the body, or None when it is chunked. Raises Refused when ambiguous."""
        encodings = [value.lower() for value in self.values("transfer-encoding")]
        lengths = self.values("content-length")
        if not encodings and not lengths:
            return 0
        if encodings == ["chunked"] and not lengths:
            return None
        if not encodings and len(lengths) == 1 and _LENGTH.match(lengths[0]):
            return int(lengths[0])
        raise Refused("network.malformed", "ambiguous framing of a request body")

    def rebuilt(self, host: str, path: str) -> bytes:
        """Give the head to send on: our Host, one request a connection, nothing hop by hop."""
        lines = [f"{self.method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{k}: {v}" for k, v in self.headers if k.lower() not in _DROPPED]
        lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def parse_head(data: bytes) -> Head:
    """Read a head without its final empty line. Raises Refused."""
    text = data.decode("latin-1")
    rest = text.replace("\r\n", "")
    if "\r" in rest or "\n" in rest or "\0" in text:
        raise Refused("network.malformed", "a bare CR, LF or NUL in a request head")
    first, *lines = text.split("\r\n")
    match = _LINE.match(first)
    if match is None or len(lines) > _MOST_HEADERS:
        raise Refused("network.malformed", f"request line {first[:80]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.match(name):
            raise Refused("network.malformed", f"header {line[:80]!r}")
        headers.append((name, value.strip(" \t")))
    return Head(method=match[1], target=match[2], headers=tuple(headers))
