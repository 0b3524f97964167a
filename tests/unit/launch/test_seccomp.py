"""Our filter decides as libseccomp's does from the same profile, on both architectures."""

import random
import socket

import pytest
from tests.unit.launch.filters import ALLOW, ENOMEM, ENOSYS, EPERM, KILL, Library, Rule, decide

from cloche_launch import profile
from cloche_launch.numbers import TABLES
from cloche_launch.seccomp import AUDIT_ARCHITECTURES, compile_profile

JUDGED = {  # by their arguments, in rules of their own
    "clone", "socket", "socketpair", "setrlimit", "prlimit64", "ioctl", "prctl", "personality",
    *profile.HUGE_PAGES,
}  # fmt: skip
WORDS = (0, 1, 2, 3, 4, 0x4_0000, 0o4000, 0x5412, 0x5401, 0x541C, 0x1_0000_5412, 0x1200011, 0x0002_0000,
         0x1000_0000, 0x0004_0000, 0xFFFF_FFFF, 0x53564D41, 22, 38, 1 << 40)  # fmt: skip


@pytest.fixture(params=sorted(TABLES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


def ours(architecture: str, number: int, *arguments: int) -> int:
    program = compile_profile(architecture)
    return decide(program, AUDIT_ARCHITECTURES[architecture], number, arguments)


def allowed() -> set[str]:
    return {name for group in profile.ALLOWED.values() for name in group.split()} - JUDGED


def test_every_number_is_the_kernels(architecture: str, library: Library) -> None:
    wrong = {
        name: (number, known)
        for name, number in TABLES[architecture].items()
        if (known := library.number(architecture, name)) >= 0 and known != number
    }
    assert wrong == {}


def test_each_call_is_decided_as_libseccomp_decides_it(architecture: str, library: Library) -> None:
    table = TABLES[architecture]
    named = {**dict.fromkeys(allowed(), ALLOW), **dict.fromkeys(profile.NOT_PERMITTED, EPERM)}
    known = {
        name: answer for name, answer in named.items() if name in table and library.knows(name)
    }
    peer = library.compile(architecture, ENOSYS, [Rule(*pair) for pair in known.items()])
    program, token = compile_profile(architecture), AUDIT_ARCHITECTURES[architecture]
    apart = {table[name] for name in table if name in JUDGED or not library.knows(name)}
    assert len(known) > 200
    for number in set(range(700)) - apart:
        assert decide(program, token, number) == decide(peer, token, number), number


@pytest.mark.parametrize(
    ("name", "argument", "values"),
    [
        ("prctl", 0, tuple(profile.ALLOWED_PRCTLS)),
        ("personality", 0, profile.ALLOWED_PERSONALITIES),
        ("socketpair", 0, (profile.AF_UNIX,)),
    ],
)
def test_a_list_of_values_is_held_in_the_low_half(
    architecture: str, library: Library, name: str, argument: int, values: tuple[int, ...]
) -> None:
    rules = [Rule(name, ALLOW, argument, value=value) for value in values]
    peer = library.compile(architecture, EPERM, rules)
    compare(architecture, peer, TABLES[architecture][name])


@pytest.mark.parametrize(("name", "judged"), profile.HUGE_PAGES.items())
def test_there_are_no_huge_pages(
    architecture: str, library: Library, name: str, judged: tuple[int, int]
) -> None:
    index, flag = judged
    rule = Rule(name, ENOMEM, index, mask=flag, value=flag)
    compare(architecture, library.compile(architecture, ALLOW, [rule]), TABLES[architecture][name])


def test_flags_of_clone_and_requests_to_a_terminal(architecture: str, library: Library) -> None:
    table = TABLES[architecture]
    namespaces = Rule("clone", ALLOW, 0, mask=profile.CLONE_NAMESPACES)
    compare(architecture, library.compile(architecture, EPERM, [namespaces]), table["clone"])
    typed = [Rule("ioctl", EPERM, 1, value=value) for value in profile.REFUSED_IOCTLS]
    compare(architecture, library.compile(architecture, ALLOW, typed), table["ioctl"])


def compare(architecture: str, peer: bytes, number: int) -> None:
    program, token = compile_profile(architecture), AUDIT_ARCHITECTURES[architecture]
    chance = random.Random(number)
    cases = [(a, b, b, a) for a in WORDS for b in WORDS]
    cases += [tuple(chance.getrandbits(64) for _ in range(4)) for _ in range(500)]
    for case in cases:
        assert decide(program, token, number, case) == decide(peer, token, number, case), case


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "expected"),
    [
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, ALLOW),
        (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 6, ALLOW),
        (socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 17, ALLOW),
        (socket.AF_NETLINK, socket.SOCK_RAW, 0, ALLOW),
        (socket.AF_NETLINK, socket.SOCK_RAW, 12, EPERM),
        (socket.AF_INET, socket.SOCK_RAW, 1, EPERM),
        (socket.AF_INET, socket.SOCK_STREAM, 262, EPERM),  # MPTCP
        (socket.AF_INET, socket.SOCK_DGRAM, 1, EPERM),  # ping
        (17, socket.SOCK_DGRAM, 0, EPERM),  # AF_PACKET
        (38, socket.SOCK_SEQPACKET, 0, EPERM),  # AF_ALG
        (40, socket.SOCK_STREAM, 0, EPERM),  # AF_VSOCK
        (socket.AF_UNIX | 1 << 32, socket.SOCK_STREAM, 0, ALLOW),  # the kernel takes an int
    ],
)
def test_which_sockets_can_be_made(
    architecture: str, family: int, kind: int, protocol: int, expected: int
) -> None:
    assert ours(architecture, TABLES[architecture]["socket"], family, kind, protocol) == expected


def test_calls_of_another_architecture_kill(architecture: str) -> None:
    program = compile_profile(architecture)
    for foreign in (0x4000_0003, 0x4000_0028, 0):  # i386, arm, none
        assert decide(program, foreign, 1) == KILL
    if architecture == "x86_64":
        assert ours(architecture, 0x4000_0000 | 59) == KILL  # x32


def test_every_refusal_has_its_reason() -> None:
    for reasons in (profile.NOT_PERMITTED, profile.NOT_THERE):
        assert all(len(reason) > 8 for reason in reasons.values())
    assert not allowed() & (set(profile.NOT_PERMITTED) | set(profile.NOT_THERE))
