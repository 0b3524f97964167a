"""What the kernel says of itself and of this process: to tell a refusal from a lack."""

import errno
import os
import signal
import struct
from contextlib import contextmanager

from cloche_redteam.attack import Unable
from cloche_redteam.libc import exists, number, syscall

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Iterator

CAP_SYS_ADMIN = 21  # linux/capability.h
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000  # linux/mount.h
CLONE_NEWNS = 0x2_0000  # linux/sched.h
_LONGEST_LIFE = 10  # seconds: more than an attack has


def answers(call: int, *arguments: object) -> "str | None":
    """Like `exists`, but a call that this kernel was built without is no refusal. Raises Unable."""
    with built_in():
        return exists(call, *arguments)


@contextmanager
def built_in() -> "Iterator[None]":
    """Take ENOSYS in a block for what it is: the kernel's own word where no filter stands, else a refusal."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSYS and not is_filtered():
            raise Unable("this kernel was built without it") from error
        raise


def is_filtered() -> bool:
    """Whether a seccomp filter stands, or might."""
    try:
        return _status("Seccomp") != "0"
    except OSError:
        return True


def capabilities(kind: str) -> int:
    """Give a set of this process: `kind` is Inh, Prm, Eff, Bnd or Amb."""
    return int(_status(f"Cap{kind}") or "0", 16)


def is_root_of_the_machine() -> bool:
    """Whether this process has CAP_SYS_ADMIN in the first user namespace: no sandbox, then."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        everyone = file.read().split() == ["0", "0", "4294967295"]
    return everyone and bool(capabilities("Eff") >> CAP_SYS_ADMIN & 1)


def keeps_from_root(capability: int) -> None:
    """Raise Unable where the machine's own root lacks a capability, since no sandbox is the cause."""
    if is_root_of_the_machine() and not capabilities("Bnd") >> capability & 1:
        raise Unable(f"root of this machine lacks capability {capability}")


def prctl(option: int, *arguments: object) -> int:
    """Call prctl, what is left out being zero. Raises OSError."""
    return syscall(number(157, 167), option, *arguments, *(0,) * (4 - len(arguments)))


@contextmanager
def child() -> "Iterator[int]":
    """Have a process of one's own that only waits, for a block; gives its id."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(_LONGEST_LIFE)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        while True:
            signal.pause()
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def output(path: str, *arguments: str, user: "int | None" = None) -> bytes:
    """Run a program, as `user` if one is given and root asks; give what it said. Raises OSError."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(writer, 1)
            if user is not None and os.geteuid() == 0:
                os.setresuid(user, user, user)
            os.execv(path, (path, *arguments))
        finally:
            os._exit(127)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read()
    if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise OSError(errno.EPERM, f"{path} ended with {code}")
    return said


def alone_with_mounts() -> None:
    """Give this process mounts of its own, so that none it makes is seen by anyone. Raises OSError."""
    syscall(number(272, 97), CLONE_NEWNS)
    mount(None, b"/", None, MS_REC | MS_PRIVATE)


def mount(source: "bytes | None", target: bytes, kind: "bytes | None", flags: int = 0) -> None:
    """Mount. Raises OSError, or Unable for a kind of file system that this kernel does not know."""
    try:
        syscall(number(165, 40), source or 0, target, kind or 0, flags, 0)
    except OSError as error:
        if error.errno == errno.ENODEV and kind:
            raise Unable(f"this kernel has no {kind.decode()}") from error
        raise


def words(*values: int) -> bytes:
    """Give numbers as 32-bit words."""
    return struct.pack(f"={len(values)}I", *values)


def _status(field: str) -> str:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == field:
                return value.strip()
    return ""
