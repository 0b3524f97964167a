"""The profile as a filter: compiled once by the zygote, installed last by each program's process.

Sources: seccomp(2), linux/seccomp.h, linux/audit.h.
"""

import ctypes
import errno

from cloche_launch import bpf, calls, profile
from cloche_launch.numbers import TABLES

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RET_KILL_PROCESS = 0x8000_0000
RET_ERRNO = 0x0005_0000
RET_ALLOW = 0x7FFF_0000
SET_MODE_FILTER = 1

AUDIT_ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_X32_BIT = 0x4000_0000  # asm/unistd.h: x32 calls share the x86_64 architecture value

_EPERM = RET_ERRNO | errno.EPERM
_ENOSYS = RET_ERRNO | errno.ENOSYS
_ENOMEM = RET_ERRNO | errno.ENOMEM
_DONE = RET_ERRNO  # errno 0: the call returns 0 and was not made


def compile_profile(architecture: str) -> bytes:
    """Give the filter for a machine name of uname(2). Raises KeyError for one we have no table of."""
    numbers = TABLES[architecture]
    program = bpf.Program()
    program.load(bpf.ARCHITECTURE)
    # A 32-bit call has other numbers: judging it by ours would let anything through.
    program.jump(bpf.JMP_JEQ_K, AUDIT_ARCHITECTURES[architecture], "native", "foreign")
    program.label("foreign")
    program.answer(RET_KILL_PROCESS)
    program.label("native")
    program.load(bpf.NUMBER)
    if architecture == "x86_64":
        program.jump(bpf.JMP_JGE_K, _X32_BIT, "x32", "numbers")
        program.label("x32")
        program.answer(RET_KILL_PROCESS)
        program.label("numbers")
    _rules(program, numbers)
    _ranges(program, {numbers[name] for name in _names() if name in numbers}, RET_ALLOW)
    _ranges(program, {numbers[n] for n in profile.NOT_PERMITTED if n in numbers}, _EPERM)
    program.answer(_ENOSYS)
    return program.assemble()


def install(program: bytes) -> None:
    """Put the filter on this process and all it starts. Needs no_new_privs. Raises SyscallFailed."""
    filters = ctypes.create_string_buffer(program, len(program))

    class SockFprog(ctypes.Structure):  # linux/filter.h struct sock_fprog
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    block = SockFprog(len(program) // 8, ctypes.addressof(filters))
    calls.syscall(_SYS_SECCOMP[calls.MACHINE], SET_MODE_FILTER, 0, ctypes.byref(block))


def _names() -> list[str]:
    return [name for group in profile.ALLOWED.values() for name in group.split()]


def _ranges(program: bpf.Program, numbers: set[int], answer: int) -> None:
    """Answer for each run of consecutive numbers; the word holds the number and stays."""
    for first, last in _runs(sorted(numbers)):
        yes, no = f"yes-{answer}-{first}", f"no-{answer}-{first}"
        program.jump(bpf.JMP_JGE_K, first, "", no)
        program.jump(bpf.JMP_JGE_K, last + 1, no, yes)
        program.label(yes)
        program.answer(answer)
        program.label(no)


def _runs(numbers: list[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _rules(program: bpf.Program, numbers: dict[str, int]) -> None:
    """Judge the calls whose arguments matter. Each rule answers; others go on with the number."""
    for name, rule in (
        ("clone", _clone),
        ("socket", _socket),
        ("socketpair", _socketpair),
        ("setrlimit", _setrlimit),
        ("prlimit64", _prlimit),
        ("ioctl", _ioctl),
        ("prctl", _prctl),
        ("personality", _personality),
        *((name, _small_pages(name)) for name in profile.HUGE_PAGES),
    ):
        past = f"past-{name}"
        program.jump(bpf.JMP_JEQ_K, numbers[name], "", past)
        rule(program)
        program.label(past)
        program.load(bpf.NUMBER)


def _clone(program: bpf.Program) -> None:
    program.load(bpf.argument_low(0))
    program.jump(bpf.JMP_JSET_K, profile.CLONE_NAMESPACES, "clone-no", "clone-yes")
    program.label("clone-no")
    program.answer(_EPERM)
    program.label("clone-yes")
    program.answer(RET_ALLOW)


def _socket(program: bpf.Program) -> None:
    program.load(bpf.argument_low(1))
    program.mask(profile.SOCKET_TYPE_MASK)
    for kind in profile.SOCKET_TYPES:
        program.jump(bpf.JMP_JEQ_K, kind, "socket-family")
    program.jump(bpf.JMP_JEQ_K, 3, "socket-raw", "socket-no")
    program.label("socket-family")
    program.load(bpf.argument_low(0))
    program.jump(bpf.JMP_JEQ_K, profile.AF_UNIX, "socket-yes")
    program.jump(bpf.JMP_JEQ_K, profile.AF_INET, "socket-inet")
    program.jump(bpf.JMP_JEQ_K, profile.AF_INET6, "socket-inet")
    program.jump(bpf.JMP_JEQ_K, profile.AF_NETLINK, "socket-netlink", "socket-no")
    program.label("socket-inet")
    program.load(bpf.argument_low(2))
    for protocol in profile.INET_PROTOCOLS:
        program.jump(bpf.JMP_JEQ_K, protocol, "socket-yes")
    program.go("socket-no")
    # glibc and libuv open NETLINK_ROUTE as SOCK_RAW: for netlink the type says nothing.
    program.label("socket-raw")
    program.load(bpf.argument_low(0))
    program.jump(bpf.JMP_JEQ_K, profile.AF_NETLINK, "socket-netlink", "socket-no")
    program.label("socket-netlink")
    program.load(bpf.argument_low(2))
    program.jump(bpf.JMP_JEQ_K, profile.NETLINK_ROUTE, "socket-yes", "socket-no")
    program.label("socket-no")
    program.answer(_EPERM)
    program.label("socket-yes")
    program.answer(RET_ALLOW)


def _socketpair(program: bpf.Program) -> None:
    _one_of(program, "socketpair", (profile.AF_UNIX,))


def _setrlimit(program: bpf.Program) -> None:
    program.load(bpf.argument_low(0))
    program.jump(bpf.JMP_JEQ_K, profile.RLIMIT_CORE, "setrlimit-core")
    program.answer(RET_ALLOW)
    program.label("setrlimit-core")
    program.answer(_DONE)


def _prlimit(program: bpf.Program) -> None:
    """Let everything be asked; a new limit of cores is a null pointer or is answered for."""
    program.load(bpf.argument_low(1))
    program.jump(bpf.JMP_JEQ_K, profile.RLIMIT_CORE, "prlimit-core", "prlimit-yes")
    program.label("prlimit-core")
    for half in (bpf.argument_low(2), bpf.argument_high(2)):
        program.load(half)
        program.jump(bpf.JMP_JEQ_K, 0, "", "prlimit-done")
    program.label("prlimit-yes")
    program.answer(RET_ALLOW)
    program.label("prlimit-done")
    program.answer(_DONE)


def _ioctl(program: bpf.Program) -> None:
    # The kernel looks at the low 32 bits only; so do we, or 0x1_0000_5412 passes (CVE-2019-10063).
    program.load(bpf.argument_low(1))
    for request in profile.REFUSED_IOCTLS:
        program.jump(bpf.JMP_JEQ_K, request, "ioctl-no")
    program.answer(RET_ALLOW)
    program.label("ioctl-no")
    program.answer(_EPERM)


def _prctl(program: bpf.Program) -> None:
    _one_of(program, "prctl", profile.ALLOWED_PRCTLS)


def _small_pages(name: str) -> "Callable[[bpf.Program], None]":
    """Answer a wish for huge pages as a machine does that has none."""
    index, flag = profile.HUGE_PAGES[name]

    def rule(program: bpf.Program) -> None:
        program.load(bpf.argument_low(index))
        program.jump(bpf.JMP_JSET_K, flag, f"{name}-huge")
        program.answer(RET_ALLOW)
        program.label(f"{name}-huge")
        program.answer(_ENOMEM)

    return rule


def _personality(program: bpf.Program) -> None:
    _one_of(program, "personality", profile.ALLOWED_PERSONALITIES)


def _one_of(program: bpf.Program, name: str, values: "Iterable[int]") -> None:
    program.load(bpf.argument_low(0))
    for value in values:
        program.jump(bpf.JMP_JEQ_K, value, f"{name}-yes")
    program.answer(_EPERM)
    program.label(f"{name}-yes")
    program.answer(RET_ALLOW)


def not_there() -> tuple[str, ...]:
    """Name the calls that are answered as if the kernel were older: they meet the last line."""
    return tuple(profile.NOT_THERE)
