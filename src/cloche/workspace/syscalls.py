"""The Linux calls that Python has no name for: renameat2, openat2, statx, syncfs, ioprio_set.

The only file of this package that uses ctypes. Each call is bound once, its
errno read at once, and its failure named.
"""

import ctypes
import errno
import os
import platform
import struct

RENAME_NOREPLACE = 1  # linux/fs.h
RENAME_EXCHANGE = 2  # linux/fs.h

RESOLVE_NO_XDEV = 0x01  # linux/openat2.h
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

_SYS_OPENAT2 = 437  # asm-generic/unistd.h; the same number on every architecture
# glibc has a renameat2 wrapper since 2.28 and musl none, so the number is used for both.
_SYS_RENAMEAT2 = {"x86_64": 316, "aarch64": 276, "riscv64": 276}  # asm/unistd.h

_SYS_STATX = {"x86_64": 332, "aarch64": 291, "riscv64": 291}
_AT_EMPTY_PATH = 0x1000  # linux/fcntl.h
_STATX_BTIME = 0x800  # linux/stat.h
_STATX_BYTES = 256
_BTIME_AT = 80

_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_IOPRIO_WHO_PROCESS = 1  # linux/ioprio.h
_IOPRIO_CLASS_IDLE = 3 << 13


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syncfs.argtypes = (ctypes.c_int,)
_libc.syncfs.restype = ctypes.c_int
_rename_number = _SYS_RENAMEAT2.get(platform.machine(), -1)


class SyscallFailed(OSError):
    """A system call was refused; `call` says which."""

    def __init__(self, code: int, text: str, call: str) -> None:
        super().__init__(code, text)
        self.call = call

    def __str__(self) -> str:
        code = self.errno or 0
        return f"{self.call}: {self.strerror} ({errno.errorcode.get(code, code)})"


def _failed(call: str, path: str = "") -> OSError:
    # Read errno before any other call can overwrite it. OSError, asked with an
    # errno, picks FileNotFoundError and its kin; SyscallFailed is for the rest.
    code = ctypes.get_errno()
    plain = OSError(code, os.strerror(code), path or None)
    return plain if type(plain) is not OSError else SyscallFailed(code, os.strerror(code), call)


def birth_ns(descriptor: int) -> int:
    """Give when this was made, in ns; 0 where the file system or the kernel does not say.

    A directory that is made in the place of a deleted one often gets its inode number.
    """
    found = ctypes.create_string_buffer(_STATX_BYTES)
    result = _libc.syscall(
        ctypes.c_long(_SYS_STATX.get(platform.machine(), -1)),
        ctypes.c_int(descriptor),
        ctypes.c_char_p(b""),
        ctypes.c_int(_AT_EMPTY_PATH),
        ctypes.c_uint(_STATX_BTIME),
        found,
    )
    if result < 0 or not struct.unpack_from("=I", found)[0] & _STATX_BTIME:
        return 0
    seconds, rest = struct.unpack_from("=qI", found, _BTIME_AT)
    return int(seconds) * 1_000_000_000 + int(rest)


def renameat2(old_at: int, old: str, new_at: int, new: str, flags: int) -> None:
    """Rename relative to two directories, with RENAME_NOREPLACE or RENAME_EXCHANGE.

    Raises OSError: EEXIST, ENOENT, EXDEV, EINVAL where the file system cannot.
    """
    result = _libc.syscall(
        ctypes.c_long(_rename_number),
        ctypes.c_int(old_at),
        ctypes.c_char_p(os.fsencode(old)),
        ctypes.c_int(new_at),
        ctypes.c_char_p(os.fsencode(new)),
        ctypes.c_uint(flags),
    )
    if result < 0:
        raise _failed("renameat2", new)


def openat2(at: int, path: str, flags: int, resolve: int) -> int:
    """Open `path` below `at` under the RESOLVE_* rules; the descriptor is close-on-exec.

    Raises OSError: ENOSYS before Linux 5.6, ELOOP for a symlink that is not
    allowed, EXDEV for a path that leaves, EAGAIN for a race with a rename.
    """
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=0, resolve=resolve)
    result: int = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(at),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if result < 0:
        raise _failed("openat2", path)
    return result


def syncfs(descriptor: int) -> None:
    """Write everything of the file system that holds `descriptor` to the disk.

    Raises OSError when a write failed since the descriptor was opened (Linux 5.8).
    """
    if _libc.syncfs(descriptor) < 0:
        raise _failed("syncfs")


def ioprio_idle() -> None:
    """Let this thread have the disk when nobody else wants it, where the scheduler obeys: bfq does.

    Raises OSError. ioprio_set(2)
    """
    result = _libc.syscall(
        ctypes.c_long(_SYS_IOPRIO_SET.get(platform.machine(), -1)),
        ctypes.c_int(_IOPRIO_WHO_PROCESS),
        ctypes.c_int(0),
        ctypes.c_int(_IOPRIO_CLASS_IDLE),
    )
    if result < 0:
        raise _failed("ioprio_set")
