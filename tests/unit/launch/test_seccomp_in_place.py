"""The second filter: what it refuses besides, compared with libseccomp, and nothing else."""

import random

import pytest
from tests.unit.launch.filters import ALLOW, ENOSYS, EPERM, Library, Rule, decide

from cloche_launch import profile
from cloche_launch.numbers import TABLES
from cloche_launch.seccomp import AUDIT_ARCHITECTURES
from cloche_launch.seccomp_in_place import compile_in_place

WORDS = (0, 1, 2, 3, 5, 8, 10, 15, 16, 0x8901, 0x8902, 0x2000_0000, 0x2000_4000, 0o020644, 0o060644,
         0o100644, 0o140644, 0o4755, 0o102755, 0o755, 0xFFFF_FFFF, 1 << 32, (1 << 32) + 8, -1 & (1 << 64) - 1)  # fmt: skip
_APART = (
    *profile.IN_PLACE_OWN_ONLY,
    *profile.MODES_OF_OPEN,
    profile.MODE_UNSEEN,
    "socketpair",
    "socket",
)
STREAM, DATAGRAM, SEQPACKET, RAW = 1, 2, 5, 3
UNIX, INET, INET6 = 1, 2, 10


@pytest.fixture(params=sorted(TABLES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ours(architecture: str, name: str, *arguments: int, connects: bool = False) -> int:
    program = compile_in_place(architecture, connects=connects)
    return decide(program, AUDIT_ARCHITECTURES[architecture], TABLES[architecture][name], arguments)


@pytest.mark.parametrize("connects", [True, False])
def test_it_decides_as_libseccomp_does(architecture: str, *, connects: bool) -> None:
    library, table = Library(), TABLES[architecture]
    refused = [*profile.IN_PLACE_REFUSED, *(() if connects else ("socket", "connect"))]
    rules = [Rule(name, EPERM) for name in refused if name in table]
    rules += [Rule("kill", EPERM, 0, value=profile.EVERYBODY)]
    rules += [Rule("fcntl", EPERM, 1, value=value) for value in profile.IN_PLACE_FCNTLS]
    rules += [Rule("ioctl", EPERM, 1, value=value) for value in profile.IN_PLACE_IOCTLS]
    rules += [
        Rule(name, EPERM, flags, mask=profile.MSG_FASTOPEN, value=profile.MSG_FASTOPEN)
        for name, flags in profile.FAST_OPENING.items()
    ]
    rules += [
        Rule(name, EPERM, profile.MODES[name], mask=profile.S_IFMT, value=kind)
        for name in profile.MODES_OF_MKNOD
        if name in table
        for kind in (profile.S_IFCHR, profile.S_IFBLK)
    ]
    rules += [
        Rule(name, EPERM, mode, mask=bit, value=bit)
        for name, mode in profile.MODES.items()
        if name in table
        for bit in (0o4000, 0o2000)
    ]
    peer = library.compile(architecture, ALLOW, rules)
    program, token = (
        compile_in_place(architecture, connects=connects),
        AUDIT_ARCHITECTURES[architecture],
    )
    apart = {table[name] for name in _APART if name in table}
    chance = random.Random(1)
    for number in set(range(600)) - apart:
        for _ in range(12):
            arguments = tuple(chance.choice(WORDS) for _ in range(4))
            case = (number, arguments)
            assert decide(program, token, *case) == decide(peer, token, *case), case


@pytest.mark.parametrize(("name", "own"), profile.IN_PLACE_OWN_ONLY.items())
def test_only_the_caller_itself_is_meant(architecture: str, name: str, own: tuple[int]) -> None:
    assert ours(architecture, name) == ALLOW
    for index in own:
        arguments = [0, 0, 0]
        arguments[index] = 4711
        assert ours(architecture, name, *arguments) == EPERM


@pytest.mark.parametrize(
    ("family", "kind", "alone", "fetching"),
    [
        (UNIX, STREAM, EPERM, EPERM),
        (INET, STREAM, EPERM, ALLOW),
        (INET6, STREAM | 0o2000000, EPERM, ALLOW),
        (INET, DATAGRAM, EPERM, EPERM),
        (INET, RAW, EPERM, EPERM),
    ],
)
def test_which_sockets_can_be_made(
    architecture: str, family: int, kind: int, alone: int, fetching: int
) -> None:
    assert ours(architecture, "socket", family, kind) == alone
    assert ours(architecture, "socket", family, kind, connects=True) == fetching


def test_a_pair_cannot_be_used_to_send_to_a_name(architecture: str) -> None:
    assert ours(architecture, "socketpair", UNIX, STREAM | 0o4000) == ALLOW
    assert ours(architecture, "socketpair", UNIX, SEQPACKET) == ALLOW
    assert ours(architecture, "socketpair", UNIX, DATAGRAM) == EPERM


def test_a_new_file_lends_nobodys_identity(architecture: str) -> None:
    creating, temporary, reading = 0o101, 0o20200001, 0
    for mode, answer in ((0o644, ALLOW), (0o4755, EPERM), (0o2755, EPERM)):
        assert ours(architecture, "openat", -100, 0, creating, mode) == answer
        assert ours(architecture, "openat", -100, 0, temporary, mode) == answer
        assert ours(architecture, "openat", -100, 0, reading, mode) == ALLOW
    assert ours(architecture, "openat2") == ENOSYS
