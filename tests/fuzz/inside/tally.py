"""What became of the calls: counted by each worker in shared memory, and taken from there when it has ended."""

import errno
import mmap

MADE, SUCCEEDED, NOT_PERMITTED, NOT_THERE, INVALID, OTHER = range(6)
FIELDS = ("made", "succeeded", "EPERM", "ENOSYS", "invalid", "other")
"""Made and in none of the others: the call did not come back, or came back as another program."""
LAST = 1024
"""Stands for all numbers that are greater, or negative, or have the bit of x32."""
_WIDTH = len(FIELDS)
_CLASS = {
    errno.EPERM: NOT_PERMITTED,
    errno.ENOSYS: NOT_THERE,
    **dict.fromkeys((errno.EINVAL, errno.EFAULT, errno.EBADF, errno.E2BIG, errno.ENOTTY), INVALID),
}


class Tally:
    """For each number how often it was called, and how often with each class of answer."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4 * (_WIDTH * (LAST + 1) + 1))
        self._words = memoryview(self._memory).cast("I")
        self.rows: dict[int, list[int]] = {}
        self.spoilt = 0
        """Workers whose counts were overwritten by a call of their own."""

    def before(self, number: int) -> int:
        """Count a call that is about to be made; give where its answer is counted."""
        at = _WIDTH * (number if 0 <= number < LAST else LAST)
        self._words[at] += 1
        self._words[-1] += 1
        return at

    def progress(self) -> int:
        """Give a number that grows with each call."""
        return self._words[-1]

    def after(self, at: int, code: int) -> None:
        """Count an answer: 0, or what errno(3) calls it."""
        self._words[at + (_CLASS.get(code, OTHER) if code else SUCCEEDED)] += 1

    def take(self, most: int) -> None:
        """Add up what the last worker counted, if it is no more than `most` calls."""
        words = list(self._words)
        self._memory[:] = bytes(len(self._memory))
        found = {n: words[n * _WIDTH : (n + 1) * _WIDTH] for n in range(LAST + 1)}
        found = {number: row for number, row in found.items() if any(row)}
        whole = all(sum(row[1:]) <= row[MADE] for row in found.values())
        if not whole or sum(row[MADE] for row in found.values()) > most:
            self.spoilt += 1
            return
        for number, row in found.items():
            known = self.rows.get(number, [0] * _WIDTH)
            self.rows[number] = [a + b for a, b in zip(known, row, strict=True)]
