"""Landlock: the program's own view of the files, narrowed once more. landlock(7).

A second wall behind the mounts: should a writable mount ever be where none was
planned, the program still may not write there.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct

from cloche_launch import calls
from cloche_launch.sources import DEVICES

# linux/landlock.h; the numbers of the calls are the same on x86_64 and aarch64
_SYS_CREATE, _SYS_ADD, _SYS_RESTRICT = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR = 16, 32, 64, 128
MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 256, 512, 1024, 2048, 4096
REFER = 1 << 13  # ABI 2, Linux 5.19
TRUNCATE = 1 << 14  # ABI 3, Linux 6.2
IOCTL_DEV = 1 << 15  # ABI 5, Linux 6.10
BIND_TCP, CONNECT_TCP = 1, 2  # ABI 4, Linux 6.7
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1, 2  # ABI 6, Linux 6.12
# ABI 7, Linux 6.15: what our own trials are refused is not for the audit log
_LOG_SAME_EXEC_OFF = 1

_READ = EXECUTE | READ_FILE | READ_DIR
_ALL_OF_ABI_1 = (1 << 13) - 1
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
# Devices are made by init; no right to make or remove anything beside them.
_DEVICES = tuple(f"dev/{name}" for name in DEVICES)
_TREES = ("dev/pts", "dev/shm")
# Of the host's /proc a program without a root of its own sees what runtimes ask of the machine, and of
# itself no more than this: /proc/self whole has the host's mounts and connections in it. A rule names
# one process: its children see nothing of themselves.
_OF_MACHINE = ("cpuinfo", "meminfo", "stat", "version")
_OF_ITSELF = ("stat", "statm", "status", "maps")
_PROC = tuple(f"/proc/{name}" for name in (*_OF_MACHINE, *(f"self/{n}" for n in _OF_ITSELF)))


def abi() -> int:
    """Give the kernel's Landlock ABI; 0 when it has none or it is switched off."""
    try:
        return calls.syscall(_SYS_CREATE, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    except calls.SyscallFailed as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


class Rules:
    """One set of rules being written: what is handled and not allowed is refused, once enforced."""

    __slots__ = ("_descriptor", "_version", "handled")

    def __init__(self, version: int, *, of_network: bool) -> None:
        self.handled, self._version = handled_rights(version), version
        scopes = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL if version >= 6 else 0
        network = BIND_TCP | CONNECT_TCP if of_network else 0
        # struct landlock_ruleset_attr: handled_access_fs, handled_access_net (ABI 4), scoped (ABI 6)
        attributes = struct.pack("=3Q", self.handled, network, scopes)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        self._descriptor = calls.syscall(_SYS_CREATE, attributes, ctypes.c_size_t(size), 0)

    def allow(self, path: str, rights: int, root: "int | None" = None) -> None:
        """Allow `rights` at `path`, below the directory `root` where one is given."""
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=root)
        try:
            if not stat.S_ISDIR(os.fstat(parent).st_mode):
                rights &= _FILE_RIGHTS
            # struct landlock_path_beneath_attr is packed: u64 allowed_access, s32 parent_fd
            rule = struct.pack("=Qi", rights & self.handled, parent)
            calls.syscall(_SYS_ADD, self._descriptor, _RULE_PATH_BENEATH, rule, 0)
        finally:
            os.close(parent)

    def connect(self, port: int) -> None:
        """Allow to connect to one TCP port, of whatever host: Landlock knows no addresses."""
        rule = struct.pack("=2Q", CONNECT_TCP, port)  # struct landlock_net_port_attr
        calls.syscall(_SYS_ADD, self._descriptor, _RULE_NET_PORT, rule, 0)

    def enforce(self) -> None:
        """Put the rules in force for this process and all it starts. Needs no_new_privs."""
        flags = _LOG_SAME_EXEC_OFF if self._version >= 7 else 0
        calls.syscall(_SYS_RESTRICT, self._descriptor, flags)
        os.close(self._descriptor)


class Ruleset:
    """Reading everywhere in a root and writing to its devices; the rest comes with the plan.

    Made before `root`, a descriptor of its top, is the root: a rule names an
    inode, whatever its path is then.
    """

    __slots__ = ("_rules", "version")

    def __init__(self, root: int) -> None:
        self.version = abi()
        if self.version == 0:
            return
        self._rules = Rules(self.version, of_network=False)
        self._rules.allow(".", _READ, root)
        for path in _TREES:
            self._rules.allow(path, self._rules.handled, root)
        for path in _DEVICES:
            self._rules.allow(path, WRITE_FILE | READ_FILE | IOCTL_DEV, root)

    def restrict(self, writable: list[str]) -> int:
        """Put the rules in force, with writing below `writable` of this root; the ABI, 0 for none.

        Needs no_new_privs. A path of `writable` that is not there is an error:
        a plan that names it was wrong.
        """
        if self.version == 0:
            return 0
        for path in writable:
            self._rules.allow(path, self._rules.handled)
        self._rules.enforce()
        return self.version


def restrict_in_place(readable: list[str], writable: list[str], port: int) -> int:
    """Leave a process of the host's own nothing but these trees and one TCP port; the ABI.

    `readable` may name what is not there; `port` 0 is none. Raises OSError
    (EOPNOTSUPP) where the ABI is too old to hold what is promised: without 3
    a file outside could be cut, without 4 a port could not be named.
    """
    version = abi()
    if version < (4 if port else 3):
        raise calls.SyscallFailed("landlock", errno.EOPNOTSUPP, f"ABI {version}")
    rules = Rules(version, of_network=version >= 4)
    for path in readable:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            rules.allow(path, _READ)
    for path in writable:
        rules.allow(path, rules.handled)
    for path in _DEVICES:
        rules.allow(f"/{path}", WRITE_FILE | READ_FILE | IOCTL_DEV)
    for path in _PROC:
        with contextlib.suppress(FileNotFoundError):
            rules.allow(path, READ_FILE)
    if port:
        rules.connect(port)
    rules.enforce()
    return version


def confine_signals() -> bool:
    """Let this process and all it starts signal nobody but each other; False before ABI 6.

    Needs no_new_privs. The files stay as they are.
    """
    if abi() < 6:
        return False
    attributes = struct.pack("=3Q", 0, 0, SCOPE_SIGNAL)
    descriptor = calls.syscall(_SYS_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    calls.syscall(_SYS_RESTRICT, descriptor, 0)
    os.close(descriptor)
    return True


def handled_rights(version: int) -> int:
    """Give the file rights that the ABI knows; what is handled and not allowed is refused."""
    rights = _ALL_OF_ABI_1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        if version >= since:
            rights |= right
    return rights
