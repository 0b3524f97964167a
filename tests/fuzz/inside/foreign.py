"""Calls by the ways that a filter may take for another's: 32-bit programs, and the bit of x32."""

import ctypes
import mmap
import os
import random
import signal
import struct

_LOW = 0x40  # MAP_32BIT: code that a 32-bit segment can hold
_CALLS_EACH = 12


def tried(seed: str) -> "dict[str, int]":
    """Make such calls on x86_64, each in a process of its own; give how often each ended how."""
    ends: dict[str, int] = {}
    if os.uname().machine != "x86_64":
        return ends
    rng = random.Random(f"{seed}:foreign")
    for way in (_interrupt, _segment, _x32):
        for _ in range(_CALLS_EACH):
            number = rng.choice((20, 120, 26, 21, 310, 52, 88, rng.randrange(470)))
            word = f"{way.__name__.strip('_')}: {_ended(way, number, rng)}"
            ends[word] = ends.get(word, 0) + 1
    return ends


def _ended(way: object, number: int, rng: random.Random) -> str:
    arguments = [rng.choice((0, 1, rng.getrandbits(31))) for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        signal.alarm(2)
        way(number, arguments)
        os._exit(17)  # it came back
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return signal.Signals(-status).name if status < 0 else f"came back, {status}"


def _interrupt(number: int, arguments: "list[int]") -> None:
    """int 0x80."""
    _run(_loaded(number, arguments) + b"\xcd\x80\xc3")


def _segment(number: int, arguments: "list[int]") -> None:
    """A far return into the 32-bit segment, and the call from there."""
    page = _page()
    at = ctypes.addressof(ctypes.c_char.from_buffer(page))
    inner = _loaded(number, arguments) + b"\xcd\x80\xf4"
    page.seek(64)
    page.write(inner)
    page.seek(0)
    page.write(b"\x6a\x23\x68" + struct.pack("=I", at + 64) + b"\x48\xcb")  # push; push; retfq
    ctypes.CFUNCTYPE(ctypes.c_int)(at)()


def _x32(number: int, arguments: "list[int]") -> None:
    ctypes.CDLL(None).syscall(ctypes.c_long(0x4000_0000 | number), *map(ctypes.c_long, arguments))


def _loaded(number: int, arguments: "list[int]") -> bytes:
    """mov eax, number; mov ecx, edx, esi: all registers that a call may freely have here."""
    registers = zip((b"\xb8", b"\xb9", b"\xba", b"\xbe"), (number, *arguments), strict=True)
    return b"".join(code + struct.pack("=I", value) for code, value in registers)


def _page() -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _LOW
    return mmap.mmap(-1, 4096, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _run(code: bytes) -> None:
    page = _page()
    page.write(code)
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
