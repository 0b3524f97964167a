"""A very small assembler for classic BPF, as seccomp runs it: pure, labels resolved, jumps checked.

Sources: linux/bpf_common.h, linux/filter.h, seccomp(2).
"""

import struct

LD_W_ABS = 0x20
JMP_JA = 0x05
JMP_JEQ_K = 0x15
JMP_JGE_K = 0x35
JMP_JSET_K = 0x45
ALU_AND_K = 0x54
RET_K = 0x06

LONGEST_JUMP = 255  # the field is one byte
LONGEST_PROGRAM = 4096  # BPF_MAXINSNS

# struct seccomp_data, linux/seccomp.h: nr, arch, instruction_pointer, args[6]
NUMBER = 0
ARCHITECTURE = 4


def argument_low(index: int) -> int:
    """Give the offset of the low 32 bits of an argument (both architectures are little-endian)."""
    return 16 + 8 * index


def argument_high(index: int) -> int:
    """Give the offset of the high 32 bits of an argument."""
    return argument_low(index) + 4


class Program:
    """Instructions with labels; a jump to "" falls through to the next instruction."""

    def __init__(self) -> None:
        self._code: list[tuple[int, str, str, int]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Name the place of the next instruction."""
        if name in self._labels:
            raise ValueError(f"label {name!r} is there twice")
        self._labels[name] = len(self._code)

    def load(self, offset: int) -> None:
        """Load the 32-bit word at `offset` of the data."""
        self._code.append((LD_W_ABS, "", "", offset))

    def mask(self, value: int) -> None:
        """Keep only these bits of the word."""
        self._code.append((ALU_AND_K, "", "", value))

    def jump(self, kind: int, value: int, true: str = "", false: str = "") -> None:
        """Compare the word with `value` and go on at one of two labels."""
        self._code.append((kind, true, false, value))

    def go(self, label: str) -> None:
        """Go on at `label`, however far."""
        self._code.append((JMP_JA, label, "", 0))

    def answer(self, value: int) -> None:
        """End with this SECCOMP_RET value."""
        self._code.append((RET_K, "", "", value))

    def assemble(self) -> bytes:
        """Give the array of struct sock_filter. Raises ValueError for a jump that does not fit."""
        if len(self._code) > LONGEST_PROGRAM:
            raise ValueError(f"{len(self._code)} instructions are more than {LONGEST_PROGRAM}")
        return b"".join(self._one(place, line) for place, line in enumerate(self._code))

    def _one(self, place: int, line: tuple[int, str, str, int]) -> bytes:
        code, true, false, value = line
        if code == JMP_JA:
            return struct.pack("=HBBI", code, 0, 0, self._distance(place, true))
        near = [self._distance(place, label) if label else 0 for label in (true, false)]
        if max(near) > LONGEST_JUMP:
            raise ValueError(f"a jump of {max(near)} instructions does not fit")
        return struct.pack("=HBBI", code, near[0], near[1], value & 0xFFFF_FFFF)

    def _distance(self, place: int, label: str) -> int:
        distance = self._labels[label] - place - 1
        if distance < 0:
            raise ValueError(f"label {label!r} lies behind: BPF jumps forward only")
        return distance
