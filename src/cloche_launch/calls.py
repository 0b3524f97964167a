"""System calls through ctypes: bound once, checked at once, named in their failure."""

import ctypes
import errno
import os
import struct

from cloche_launch import abi

# PyDLL keeps the interpreter's lock: a clone made while another thread could
# hold it would leave the child waiting for a thread that it does not have.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
MACHINE = os.uname().machine


class SyscallFailed(OSError):
    """A system call that the plan needs was refused; `call` says which, `what` on what."""

    def __init__(self, call: str, code: int, what: str = "") -> None:
        super().__init__(code, os.strerror(code))
        self.call = call
        self.what = what

    def __str__(self) -> str:
        name = errno.errorcode.get(self.errno or 0, str(self.errno))
        return f"{self.call}({self.what}): {self.strerror} ({name})"


def _check(result: int, call: str, what: str = "") -> int:
    if result < 0:
        # Read errno before any other call can overwrite it.
        raise SyscallFailed(call, ctypes.get_errno(), what)
    return result


def clone3(flags: int, group: int | None = None) -> tuple[int, int]:
    """Make a child with new namespaces; 0 in the child, (pid, pidfd) in the parent. clone(2), Linux 5.3.

    `group` is a descriptor of the version 2 control group that it is made in (Linux 5.7).
    """
    pidfd = ctypes.c_int(-1)
    flags |= abi.CLONE_PIDFD if group is None else abi.CLONE_PIDFD | abi.CLONE_INTO_CGROUP
    # struct clone_args, linux/sched.h: flags, pidfd, child_tid, parent_tid, exit_signal, stack and its
    # size, tls, set_tid and its size, cgroup
    fields = (flags, ctypes.addressof(pidfd), 0, 0, 17, 0, 0, 0, 0, 0, group or 0)
    arguments = ctypes.create_string_buffer(struct.pack("=11Q", *fields), 88)
    pid = _check(_syscall(abi.SYS_clone3, arguments, ctypes.c_size_t(88)), "clone3")
    return pid, pidfd.value


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare", hex(flags))


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    _check(
        _libc.mount(
            os.fsencode(source) if source else None,
            os.fsencode(target),
            kind.encode() if kind else None,
            ctypes.c_ulong(flags),
            os.fsencode(data) if data else None,
        ),
        "mount",
        f"{kind or 'bind'} at {target}",
    )


def unmount_detached(target: str) -> None:
    """umount2(2) with MNT_DETACH."""
    _check(_libc.umount2(os.fsencode(target), abi.MNT_DETACH), "umount2", target)


def open_tree(path: str, flags: int = abi.AT_RECURSIVE) -> int:
    """Clone the mounts at `path` as a detached tree; a descriptor. open_tree(2), Linux 5.2."""
    flags |= abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC
    return _check(
        _syscall(abi.SYS_open_tree, abi.AT_FDCWD, os.fsencode(path), ctypes.c_uint(flags)),
        "open_tree",
        path,
    )


def move_mount(tree: int, target: str) -> None:
    """Attach a detached tree. move_mount(2), Linux 5.2."""
    _check(
        _syscall(
            abi.SYS_move_mount,
            tree,
            b"",
            abi.AT_FDCWD,
            os.fsencode(target),
            abi.MOVE_MOUNT_F_EMPTY_PATH,
        ),
        "move_mount",
        target,
    )


def mount_setattr(tree: int, attributes: int, user_namespace: int = 0) -> None:
    """Set attributes of a tree and all mounts in it. mount_setattr(2), Linux 5.12."""
    block = struct.pack("=4Q", attributes, 0, 0, user_namespace)
    flags = abi.AT_EMPTY_PATH | abi.AT_RECURSIVE
    _check(
        _syscall(abi.SYS_mount_setattr, tree, b"", flags, block, ctypes.c_size_t(len(block))),
        "mount_setattr",
        hex(attributes),
    )


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    number = abi.SYS_pivot_root[MACHINE]
    _check(_syscall(number, os.fsencode(new), os.fsencode(old)), "pivot_root", new)


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """prctl(2)."""
    arguments = [ctypes.c_ulong(v) for v in (argument, second, 0, 0)]
    return _check(_libc.prctl(option, *arguments), "prctl", str(option))


def capset_empty() -> None:
    """Empty the effective, permitted and inheritable sets. capset(2)."""
    header = struct.pack("=Ii", abi.LINUX_CAPABILITY_VERSION_3, 0)
    _check(_syscall(abi.SYS_capset[MACHINE], header, bytes(24)), "capset")


def join_new_session_keyring() -> None:
    """Leave the keyrings of the user's session behind. keyctl(2)."""
    number = abi.SYS_keyctl[MACHINE]
    _check(_syscall(number, abi.KEYCTL_JOIN_SESSION_KEYRING, None), "keyctl")


def close_range(first: int, last: int) -> None:
    """Close every descriptor from `first` to `last`. close_range(2), Linux 5.9."""
    if first <= last:
        arguments = [ctypes.c_uint(v) for v in (first, last, 0)]
        _check(_syscall(abi.SYS_close_range, *arguments), "close_range")


def open_beneath(directory: int, path: str, flags: int, mode: int = 0) -> int:
    """Open below `directory`, through no link of any kind. openat2(2), Linux 5.6."""
    resolve = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_SYMLINKS | abi.RESOLVE_NO_MAGICLINKS
    how = struct.pack("=3Q", flags | os.O_CLOEXEC, mode, resolve)
    arguments = (directory, os.fsencode(path), how, ctypes.c_size_t(len(how)))
    return _check(_syscall(abi.SYS_openat2, *arguments), "openat2", path)


def rename_self(name: bytes) -> None:
    """Put `name` in place of this process's arguments, as /proc/PID/cmdline shows them to anybody."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # proc(5): arg_start and arg_end, 48 and 49
    if 0 < start < end:
        ctypes.memmove(start, name.ljust(end - start, b"\0")[: end - start], end - start)


def syscall(number: int, *arguments: object) -> int:
    """Make a system call that has no wrapper here; the failure names its number."""
    return _check(_syscall(number, *arguments), f"syscall {number}")
