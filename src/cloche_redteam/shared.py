"""Objects that processes share by a name or a number: System V's, POSIX queues, keys."""

import ctypes
import struct

from cloche_redteam.libc import number, syscall

IPC_RMID = 0
_IPC_CREAT, _IPC_NOWAIT = 0o1000, 0o4000
_EVERYONE = 0o666
_SHM_STAT_ANY = 15
_SHM_RDONLY = 0o10000
_GETVAL, _SETVAL = 12, 16
_KEYCTL_SETPERM, _KEYCTL_UNLINK, _KEYCTL_SEARCH, _KEYCTL_READ, _KEYCTL_INVALIDATE = 5, 9, 10, 11, 21
_SESSION_KEYRING = -3
_LONGEST = 8192


def make_memory(key: int, size: int) -> int:
    """Make a segment that everyone may use, and give its id; key 0 is private."""
    return syscall(number(29, 194), key, size, _IPC_CREAT | _EVERYONE)


def find_memory(key: int) -> int:
    """Give the id of a segment that is there."""
    return syscall(number(29, 194), key, 0, 0)


def memory_at(index: int) -> "tuple[int, int]":
    """Give (key, id) of the segment at a place of the kernel's table."""
    room = ctypes.create_string_buffer(256)
    segment = syscall(number(31, 195), index, _SHM_STAT_ANY, room)
    return struct.unpack_from("i", room)[0], segment


def fill_memory(segment: int, text: bytes, times: int = 1) -> None:
    """Write `text` into a segment as often as asked, and let go of it."""
    at = syscall(number(30, 196), segment, 0, 0)
    for turn in range(times):
        ctypes.memmove(at + turn * len(text), text, len(text))
    syscall(number(67, 197), at)


def read_memory(segment: int, length: int) -> bytes:
    """Read the start of a segment."""
    at = syscall(number(30, 196), segment, 0, _SHM_RDONLY)
    text = ctypes.string_at(at, length)
    syscall(number(67, 197), at)
    return text


def remove_memory(segment: int) -> None:
    """Take a segment away; it ends when the last lets go of it."""
    syscall(number(31, 195), segment, IPC_RMID, 0)


def make_semaphore(key: int, value: int) -> int:
    """Make a set of one semaphore of that value."""
    made = syscall(number(64, 190), key, 1, _IPC_CREAT | _EVERYONE)
    syscall(number(66, 191), made, 0, _SETVAL, value)
    return made


def read_semaphore(key: int) -> int:
    """Give the value of a semaphore that is there."""
    return syscall(number(66, 191), syscall(number(64, 190), key, 0, 0), 0, _GETVAL, 0)


def remove_semaphore(made: int) -> None:
    """Take a set of semaphores away."""
    syscall(number(66, 191), made, 0, IPC_RMID, 0)


def make_queue(key: int) -> int:
    """Make a message queue."""
    return syscall(number(68, 186), key, _IPC_CREAT | _EVERYONE)


def find_queue(key: int) -> int:
    """Give the id of a queue that is there."""
    return syscall(number(68, 186), key, 0)


def put(queue: int, text: bytes) -> None:
    """Put a message into a queue."""
    message = struct.pack("l", 1) + text
    syscall(number(69, 189), queue, message, len(text), _IPC_NOWAIT)


def take(queue: int) -> bytes:
    """Take a message out of a queue."""
    room = ctypes.create_string_buffer(8 + _LONGEST)
    length = syscall(number(70, 188), queue, room, _LONGEST, 0, _IPC_NOWAIT)
    return room.raw[8 : 8 + length]


def remove_queue(queue: int) -> None:
    """Take a queue away."""
    syscall(number(71, 187), queue, IPC_RMID, 0)


def open_named_queue(name: str, flags: int) -> int:
    """Open, or make, a POSIX queue; the call takes its name without the slash."""
    return syscall(number(240, 180), name.encode() + b"\0", flags, _EVERYONE, 0)


def remove_named_queue(name: str) -> None:
    """Take a POSIX queue away."""
    syscall(number(241, 181), name.encode() + b"\0")


def put_named(queue: int, text: bytes) -> None:
    """Put a message into a POSIX queue."""
    syscall(number(242, 182), queue, text, len(text), 0, 0)


def take_named(queue: int) -> bytes:
    """Take a message out of a POSIX queue."""
    room = ctypes.create_string_buffer(_LONGEST)
    length = syscall(number(243, 183), queue, room, _LONGEST, 0, 0)
    return room.raw[:length]


def make_key(name: str, text: bytes) -> int:
    """Put a key into the session's keyring, and let everyone do everything with it."""
    made = syscall(
        number(248, 217), b"user\0", name.encode() + b"\0", text, len(text), _SESSION_KEYRING
    )
    syscall(number(250, 219), _KEYCTL_SETPERM, made, 0x3F3F3F3F)
    return made


def read_key(key: int) -> bytes:
    """Give what a key holds."""
    room = ctypes.create_string_buffer(_LONGEST)
    length = syscall(number(250, 219), _KEYCTL_READ, key, room, _LONGEST)
    return room.raw[:length]


def find_key(name: str) -> int:
    """Give the number of a key in the session's keyring."""
    return syscall(
        number(250, 219), _KEYCTL_SEARCH, _SESSION_KEYRING, b"user\0", name.encode() + b"\0", 0
    )


def remove_key(key: int) -> None:
    """Take a key away."""
    syscall(number(250, 219), _KEYCTL_UNLINK, key, _SESSION_KEYRING)
    syscall(number(250, 219), _KEYCTL_INVALIDATE, key)
