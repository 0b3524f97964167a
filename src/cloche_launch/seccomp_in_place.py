"""A second filter, on top of the profile's, where no namespace stands between program and host.

The kernel asks both and follows the stricter answer (seccomp(2)), so this one
says only what is refused besides.
"""

import contextlib
import errno

from cloche_launch import bpf, profile
from cloche_launch.numbers import TABLES
from cloche_launch.seccomp import RET_ALLOW, RET_ERRNO

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EPERM = RET_ERRNO | errno.EPERM
_ENOSYS = RET_ERRNO | errno.ENOSYS


def compile_in_place(architecture: str, *, connects: bool) -> bytes:
    """Give the filter for a machine; with `connects` a TCP socket can be made and connected."""
    numbers = TABLES[architecture]
    program = bpf.Program()
    program.load(bpf.NUMBER)
    refused = [*profile.IN_PLACE_REFUSED, *(() if connects else ("socket", "connect"))]
    for name in refused:
        if name in numbers:
            program.jump(bpf.JMP_JEQ_K, numbers[name], "no")
    program.jump(bpf.JMP_JEQ_K, numbers[profile.MODE_UNSEEN], "not-there")
    program.go("judged")
    program.label("no")
    program.answer(_EPERM)
    program.label("not-there")
    program.answer(_ENOSYS)
    program.label("judged")
    for name, own in profile.IN_PLACE_OWN_ONLY.items():
        _only_itself(program, name, numbers[name], own)
    for name, flags in profile.FAST_OPENING.items():
        _no_flag(program, name, numbers[name], flags)
    for name, mode in profile.MODES.items():
        if name in numbers:
            _no_mode(program, name, numbers[name], mode)
    for name, (flags, mode) in profile.MODES_OF_OPEN.items():
        if name in numbers:
            _no_mode_of_new(program, name, numbers[name], flags, mode)
    _none_of(program, "kill", numbers["kill"], 0, (profile.EVERYBODY,))
    _none_of(program, "fcntl", numbers["fcntl"], 1, profile.IN_PLACE_FCNTLS)
    _none_of(program, "ioctl", numbers["ioctl"], 1, profile.IN_PLACE_IOCTLS)
    _pairs(program, numbers["socketpair"])
    if connects:
        _sockets(program, numbers["socket"])
    program.answer(RET_ALLOW)
    return program.assemble()


@contextlib.contextmanager
def _rule(program: bpf.Program, name: str, number: int) -> "Iterator[str]":
    """Judge one call: gives the label to go to when it is refused; what reaches the end is allowed."""
    past, no = f"past-{name}", f"no-{name}"
    program.jump(bpf.JMP_JEQ_K, number, "", past)
    yield no
    program.answer(RET_ALLOW)
    program.label(no)
    program.answer(_EPERM)
    program.label(past)
    program.load(bpf.NUMBER)  # what the rule is not about goes on with its number


def _only_itself(program: bpf.Program, name: str, number: int, arguments: tuple[int, ...]) -> None:
    with _rule(program, name, number) as no:
        for index in arguments:
            program.load(bpf.argument_low(index))
            program.jump(bpf.JMP_JEQ_K, 0, "", no)


def _no_flag(program: bpf.Program, name: str, number: int, flags: int) -> None:
    with _rule(program, name, number) as no:
        program.load(bpf.argument_low(flags))
        program.jump(bpf.JMP_JSET_K, profile.MSG_FASTOPEN, no)


def _none_of(
    program: bpf.Program, name: str, number: int, index: int, values: "Iterable[int]"
) -> None:
    with _rule(program, name, number) as no:
        program.load(bpf.argument_low(index))
        for value in values:
            program.jump(bpf.JMP_JEQ_K, value, no)


def _no_mode(program: bpf.Program, name: str, number: int, mode: int) -> None:
    """Refuse modes that lend the user's identity, and devices where nodes are made."""
    with _rule(program, name, number) as no:
        program.load(bpf.argument_low(mode))
        program.jump(bpf.JMP_JSET_K, profile.SET_IDENTITY, no)
        if name in profile.MODES_OF_MKNOD:
            program.mask(profile.S_IFMT)
            for kind in (profile.S_IFCHR, profile.S_IFBLK):
                program.jump(bpf.JMP_JEQ_K, kind, no)


def _no_mode_of_new(program: bpf.Program, name: str, number: int, flags: int, mode: int) -> None:
    with _rule(program, name, number) as no:
        program.load(bpf.argument_low(flags))
        program.jump(bpf.JMP_JSET_K, profile.O_MAKES, f"makes-{name}", f"yes-{name}")
        program.label(f"makes-{name}")
        program.load(bpf.argument_low(mode))
        program.jump(bpf.JMP_JSET_K, profile.SET_IDENTITY, no)
        program.label(f"yes-{name}")


def _pairs(program: bpf.Program, number: int) -> None:
    with _rule(program, "socketpair", number) as no:
        program.load(bpf.argument_low(1))
        program.mask(profile.SOCKET_TYPE_MASK)
        for kind in profile.PAIR_TYPES:
            program.jump(bpf.JMP_JEQ_K, kind, "yes-socketpair")
        program.go(no)
        program.label("yes-socketpair")


def _sockets(program: bpf.Program, number: int) -> None:
    with _rule(program, "socket", number) as no:
        program.load(bpf.argument_low(1))
        program.mask(profile.SOCKET_TYPE_MASK)
        program.jump(bpf.JMP_JEQ_K, profile.SOCK_STREAM, "", no)
        program.load(bpf.argument_low(0))
        program.jump(bpf.JMP_JEQ_K, profile.AF_INET, "yes-socket")
        program.jump(bpf.JMP_JEQ_K, profile.AF_INET6, "yes-socket", no)
        program.label("yes-socket")
