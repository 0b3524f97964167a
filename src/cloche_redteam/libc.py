"""System calls by number, for attacks that no module of Python makes."""

import ctypes
import os

from cloche_redteam.attack import Unable

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def number(x86_64: int, aarch64: int) -> int:
    """Give the number on this machine: (asm/unistd_64.h, asm-generic/unistd.h). Raises Unable."""
    numbers = {"x86_64": x86_64, "aarch64": aarch64}
    machine = os.uname().machine
    if numbers.get(machine, -1) < 0:
        raise Unable(f"{machine} has no such call")
    return numbers[machine]


def syscall(call: int, *arguments: object) -> int:
    """Make a system call. Raises OSError."""
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_libc.syscall(ctypes.c_long(call), *plain))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def link_what_is_open(descriptor: int, path: str) -> None:
    """Give an open file a name. Raises OSError."""
    # With a descriptor of a directory, here unused, os.link follows links: without, it forgets to.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=0, follow_symlinks=True)


def exists(call: int, *arguments: object) -> str | None:
    """Make a call whose arguments are nonsense: evidence when the kernel looked at them at all.

    A right is judged before arguments are: EPERM and ENOSYS mean refused, any
    other answer that the door is open. Nothing is ever done.
    """
    import errno  # noqa: PLC0415 - of this answer alone

    try:
        syscall(call, *arguments)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            raise
        return f"the kernel judged the arguments: {errno.errorcode.get(error.errno or 0)}"
    return "it succeeded"
