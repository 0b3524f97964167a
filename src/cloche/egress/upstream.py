"""The user's own HTTP proxy: what is allowed goes through it, and the allowlist stays ours."""

import base64
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from cloche.egress.decide import written
from cloche.errors import InvalidValue

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamProxy:
    """An HTTP proxy that understands CONNECT, outside every sandbox."""

    host: str
    port: int
    credentials: str = ""
    """Value of Proxy-Authorization, kept out of every sandbox."""
    bypass: tuple[str, ...] = ()
    """Names and domains that are reached without it."""

    def serves(self, host: str) -> bool:
        """Tell whether `host` goes through the proxy."""
        return not any(name in ("*", host) or host.endswith(f".{name}") for name in self.bypass)

    def request(self, host: str, port: int) -> bytes:
        """Give the CONNECT request for a tunnel. RFC 9110 section 9.3.6."""
        authorization = f"Proxy-Authorization: {self.credentials}\r\n" if self.credentials else ""
        place = written(host, port)
        return f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n".encode()


def proxy_from_url(url: str, bypass: str) -> UpstreamProxy | None:
    """Read a proxy's address as tools write it; None when it is not an http proxy. Raises InvalidValue."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        # Not shown: it may hold a password.
        raise InvalidValue("proxy of your configuration", "...", "http://HOST:PORT") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    credentials = ""
    if parts.username:
        plain = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = f"Basic {base64.b64encode(plain.encode()).decode()}"
    names = tuple(
        name.strip().lstrip("*").lstrip(".") for name in bypass.split(",") if name.strip()
    )
    return UpstreamProxy(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        credentials=credentials,
        bypass=tuple(name or "*" for name in names),
    )
