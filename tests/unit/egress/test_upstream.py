"""A proxy's address as tools write it, and what goes without it."""

import pytest

from cloche.egress.upstream import UpstreamProxy, proxy_from_url
from cloche.errors import InvalidValue


@pytest.mark.parametrize(
    ("url", "host", "port", "credentials"),
    [
        ("http://proxy.example.org:3128", "proxy.example.org", 3128, ""),
        ("http://proxy.example.org", "proxy.example.org", 80, ""),
        ("proxy.example.org:8080", "proxy.example.org", 8080, ""),
        ("http://10.1.2.3:3128/", "10.1.2.3", 3128, ""),
        ("http://u:p%40ss@proxy.example.org:1", "proxy.example.org", 1, "Basic dTpwQHNz"),
    ],
)
def test_an_address_is_read(url: str, host: str, port: int, credentials: str) -> None:
    proxy = proxy_from_url(url, "")
    assert proxy == UpstreamProxy(host=host, port=port, credentials=credentials)


@pytest.mark.parametrize("url", ["socks5://proxy.example.org:1080", "http://", "ftp://x"])
def test_another_kind_of_proxy_is_none(url: str) -> None:
    assert proxy_from_url(url, "") is None


@pytest.mark.parametrize("url", ["http://u:swordfish@proxy.example.org:port", "http://[::1"])
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        proxy_from_url(url, "")
    assert "swordfish" not in str(refusal.value)


@pytest.mark.parametrize(
    ("bypass", "host", "served"),
    [
        ("", "a.example.org", True),
        ("*", "a.example.org", False),
        ("example.org", "a.example.org", False),
        (".example.org", "a.example.org", False),
        ("*.example.org", "a.example.org", False),
        ("example.org", "badexample.org", True),
        (" localhost , a.example.org ", "a.example.org", False),
        ("b.example.org", "a.example.org", True),
    ],
)
def test_what_is_reached_without_it(bypass: str, host: str, served: bool) -> None:
    proxy = proxy_from_url("http://proxy.example.org", bypass)
    assert proxy is not None
    assert proxy.serves(host) is served
