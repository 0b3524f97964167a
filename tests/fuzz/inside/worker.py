"""One process's life: some hundreds of calls, each by chance, bounded by whoever started it."""

import ctypes
import os
import random
import signal
import socket

from inside import table
from inside.table import Call
from inside.tally import Tally
from inside.values import Values

CALLS = 500
_LOOK_SECONDS = 0.004  # a call that blocks is interrupted after so long
_X32_BIT = 0x4000_0000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = [ctypes.c_long] * 7
_SEEN = (
    "/",
    "/proc",
    "/proc/self",
    "/proc/1",
    "/proc/sys/kernel",
    "/project",
    "/usr",
    "/dev",
    "/tmp",
)
_OPENED = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/urandom",
    "/dev/tty",
    "/project/canary",
    "/dev/pts/ptmx",
)
_NAMESPACES = ("user", "mnt", "pid", "net", "uts", "ipc", "cgroup", "time")


class Worker:
    """Makes the calls of one seed."""

    def __init__(self, seed: str, tally: Tally, bait: "dict[str, str]") -> None:
        self._rng = random.Random(seed)
        self._tally = tally
        self._values = Values(self._rng, bait | {"worker": str(os.getpid())})
        self._pid = os.getpid()
        self._calls = table.calls(os.uname().machine)
        self._openers = [call for call in self._calls if call.name in table.OPENERS]
        self._opening_numbers = {call.number for call in self._openers}
        self._users = [call for call in self._calls if table.takes_a_descriptor(call)]
        self._seldom = {call.number for call in self._calls if call.name in table.SELDOM}
        self._process_makers = {call.number for call in self._calls if call.makes_a_process}

    def run(self) -> None:
        """Make the calls; the process may end in any of them."""
        os.setpgid(0, 0)  # signals to the group are not to reach whoever started this worker
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
        self._open_some()
        left = CALLS
        while left > 0:
            which = self._rng.random()
            if which < 0.15:
                left -= self._noise()
            elif which < 0.5:
                left -= self._sequence()
            else:
                left -= self._one(self._pick(self._calls))

    def _open_some(self) -> None:
        """Have something of each kind to make calls on: a part of it, so that each worker has another."""
        for path in self._rng.sample(_SEEN, 4):
            self._hold(lambda p=path: os.open(p, self._rng.choice((os.O_RDONLY, os.O_PATH))))
        for path in self._rng.sample(_OPENED, 4):
            self._hold(lambda p=path: os.open(p, self._rng.choice((0, 1, 2)) | os.O_NONBLOCK))
        for name in self._rng.sample(_NAMESPACES, 2):
            self._hold(lambda n=name: os.open(f"/proc/self/ns/{n}", os.O_RDONLY))
        for family, kind, protocol in self._rng.sample(_SOCKETS, 4):
            self._hold(lambda a=(family, kind, protocol): socket.socket(*a).detach())
            self._values.sockets.append(self._values.descriptors[-1])
        for make in self._rng.sample(_MADE, 4):
            self._hold(make)

    def _hold(self, make: object) -> None:
        try:
            made = make()
        except OSError:
            return
        self._values.descriptors += made if isinstance(made, tuple) else (made,)

    def _pick(self, calls: "list[Call]") -> Call:
        call = self._rng.choice(calls)
        if call.number in self._seldom and self._rng.random() < 0.9:
            return self._rng.choice(calls)
        return call

    def _one(self, call: Call) -> int:
        self._make(call.number, [self._values.make(kind) for kind in call.kinds])
        return 1

    def _sequence(self) -> int:
        """Open something, then make calls on it."""
        call = self._rng.choice(self._openers)
        result = self._make(call.number, [self._values.make(kind) for kind in call.kinds])
        if result < 3:
            return 1
        self._values.focus = result
        count = self._rng.randrange(2, 10)
        for _ in range(count):
            self._one(self._pick(self._users))
        self._values.focus = None
        return count + 1

    def _noise(self) -> int:
        """Call any number with anything."""
        which = self._rng.random()
        number = self._rng.randrange(601) if which < 0.97 else self._rng.randrange(600, 1100)
        if which > 0.999:
            number = self._rng.choice(
                (number | _X32_BIT, self._rng.getrandbits(32), -number, 0x7FFF_FFFF)
            )
        if number not in self._seldom or self._rng.random() < 0.05:
            self._make(number, [self._values.noise() for _ in range(6)])
        return 1

    def _make(self, number: int, arguments: "list[int]") -> int:
        at = self._tally.before(number)
        result = int(_libc.syscall(number, *arguments, *(0,) * (6 - len(arguments))))
        if result == 0 and number in self._process_makers:
            os._exit(0)  # a child: what it was made with is all that is looked at
        code = ctypes.get_errno() if result == -1 else 0
        self._tally.after(at, code)
        if code:
            return -1
        self._keep(number, result)
        return result

    def _keep(self, number: int, result: int) -> None:
        values = self._values
        if number in _MAPS and result > 4096:
            values.regions = [*values.regions[-20:], result]
        elif number in self._opening_numbers and 2 < result < 4096:
            values.descriptors = [*values.descriptors[-40:], result]
            if number in _SOCKET_MAKERS:
                values.sockets = [*values.sockets[-8:], result]
        elif number in _NAMERS:
            values.identities = [*values.identities[-8:], result]
        elif number in self._process_makers:
            values.children = [*values.children[-4:], result]


def _numbers(*names: str) -> "set[int]":
    return {call.number for call in table.calls(os.uname().machine) if call.name in names}


_NAMERS = _numbers("shmget", "semget", "msgget", "inotify_add_watch", "pkey_alloc")
_SOCKET_MAKERS = _numbers("socket", "accept", "accept4")
_MAPS = _numbers("mmap", "mremap", "shmat")
_SOCKETS = (
    *((1, 1, 0), (1, 2, 0), (1, 5, 0), (2, 1, 0), (2, 2, 0), (10, 1, 0), (10, 2, 17), (16, 3, 0)),
    (16, 2, 0),
)
_MADE = (
    os.pipe,
    lambda: os.memfd_create("cloche-fuzz", 2),
    lambda: os.pidfd_open(os.getpid()),
    lambda: os.pidfd_open(1),
    lambda: tuple(each.detach() for each in socket.socketpair()),
    lambda: int(_libc.syscall(*_numbers("epoll_create1"), 0, 0, 0, 0, 0, 0)),
    lambda: int(_libc.syscall(*_numbers("eventfd2"), 1, 0x800, 0, 0, 0, 0)),
    lambda: int(_libc.syscall(*_numbers("inotify_init1"), 0x800, 0, 0, 0, 0, 0)),
    lambda: int(_libc.syscall(*_numbers("timerfd_create"), 1, 0x800, 0, 0, 0, 0)),
    os.openpty,
)
