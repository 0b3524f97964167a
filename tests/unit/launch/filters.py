"""A classic BPF machine as seccomp runs it, and libseccomp's own compiler, to compare ours with."""

import ctypes
import ctypes.util
import os
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from cloche_launch.seccomp import AUDIT_ARCHITECTURES

ALLOW = 0x7FFF_0000
KILL = 0x8000_0000
EPERM, ENOMEM, ENOSYS = 0x0005_0001, 0x0005_000C, 0x0005_0026
_MASKED_EQ = 7  # enum scmp_compare, seccomp.h
_BAD_ARCHITECTURE = 2  # SCMP_FLTATR_ACT_BADARCH


def decide(program: bytes, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Run a filter over one call. linux/filter.h; a program that runs off its end is a mistake."""
    words = tuple(a & 0xFFFF_FFFF_FFFF_FFFF for a in (*arguments, *(0,) * 6)[:6])
    data = struct.pack("=IIQ6Q", number & 0xFFFF_FFFF, architecture, 0, *words)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    word = place = 0
    while True:
        kind, true, false, value = code[place]
        place += 1
        match kind:
            case 0x20:
                (word,) = struct.unpack_from("=I", data, value)
            case 0x54:
                word &= value
            case 0x05:
                place += value
            case 0x15:
                place += true if word == value else false
            case 0x35:
                place += true if word >= value else false
            case 0x25:
                place += true if word > value else false
            case 0x45:
                place += true if word & value else false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"an instruction seccomp does not take: {kind:#x}")


class _Compare(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """`answer` for the call `name`, when an argument's masked value is `value`."""

    name: str
    answer: int
    argument: int = -1
    mask: int = 0xFFFF_FFFF
    value: int = 0


class Library:
    """libseccomp, as far as these tests need it."""

    def __init__(self) -> None:
        found = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
        try:
            self._lib = ctypes.CDLL(found)
        except OSError:
            pytest.skip("libseccomp is not installed (Debian: apt install libseccomp2)")
        self._lib.seccomp_init.restype = ctypes.c_void_p
        self._lib.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)

    def knows(self, name: str) -> bool:
        """Tell whether libseccomp has heard of the call: the newest it has not."""
        return int(self._lib.seccomp_syscall_resolve_name(name.encode())) != -1

    def number(self, architecture: str, name: str) -> int:
        """Give a call's number; negative when libseccomp does not know it, or the architecture not."""
        token = AUDIT_ARCHITECTURES[architecture]
        return int(self._lib.seccomp_syscall_resolve_name_arch(token, name.encode()))

    def compile(self, architecture: str, default: int, rules: Iterable[Rule]) -> bytes:
        """Give the program libseccomp makes of `rules`, for one architecture."""
        context = ctypes.c_void_p(self._lib.seccomp_init(ctypes.c_uint32(default)))
        try:
            token = ctypes.c_uint32(AUDIT_ARCHITECTURES[architecture])
            self._lib.seccomp_arch_remove(context, ctypes.c_uint32(0))  # the machine's own
            assert self._lib.seccomp_arch_add(context, token) == 0
            assert (
                self._lib.seccomp_attr_set(context, _BAD_ARCHITECTURE, ctypes.c_uint32(KILL)) == 0
            )
            for rule in rules:
                self._add(context, rule)
            with tempfile.TemporaryFile() as file:
                assert self._lib.seccomp_export_bpf(context, file.fileno()) == 0
                file.seek(0, os.SEEK_SET)
                return file.read()
        finally:
            self._lib.seccomp_release(context)

    def _add(self, context: ctypes.c_void_p, rule: Rule) -> None:
        compare = _Compare(max(rule.argument, 0), _MASKED_EQ, rule.mask, rule.value)
        done = self._lib.seccomp_rule_add_array(
            context,
            ctypes.c_uint32(rule.answer),
            # By the number on this machine, which the library translates.
            self._lib.seccomp_syscall_resolve_name(rule.name.encode()),
            0 if rule.argument < 0 else 1,
            ctypes.byref(compare),
        )
        assert done == 0, f"libseccomp refuses {rule}: {done}"
