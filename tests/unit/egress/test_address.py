"""Which addresses may be dialled: a table, and every disguise of an inner one."""

import pytest

from cloche.egress.address import judge
from cloche.egress.denial import Refused

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]  # fmt: skip
INNER = [
    "0.0.0.0", "10.0.0.5", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "64:ff9b:1::7f00:1", "100::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:808:808:0:0:80ff:fffe", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%lo",
    "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_dialled(address: str) -> None:
    judge(address, ())


@pytest.mark.parametrize("address", INNER)
def test_an_inner_address_may_not(address: str) -> None:
    with pytest.raises(Refused) as refusal:
        judge(address, ("192.168.77.7",))
    assert refusal.value.rule == "network.private"
    assert "trusted_addresses" in refusal.value.remedy


@pytest.mark.parametrize("address", INNER)
def test_an_inner_address_that_is_pinned_may(address: str) -> None:
    judge(address, (address,))


def test_pinning_one_address_pins_no_disguise_of_it() -> None:
    with pytest.raises(Refused):
        judge("::ffff:10.0.0.5", ("10.0.0.5",))
