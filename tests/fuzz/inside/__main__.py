"""`python ARCHIVE SEED SECONDS BAIT`: workers one after the other until time is over; then what they did.

Reports go to standard error, a line of JSON each; the last one counts. Workers
keep standard output, a pipe of the host's, among what they make calls on.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time

from inside import foreign
from inside.tally import Tally
from inside.worker import CALLS, Worker

_STUCK_SECONDS = 0.03  # without a call: its timer, which ends calls that wait, is no more
_LIFE_SECONDS = 2.0
_REPORT_SECONDS = 0.5
_TIDIED = ("/tmp", "/project", "/project/directory", "/home/user", "/dev/shm")
_libc = ctypes.CDLL(None)


class Run:
    """All workers of one seed."""

    def __init__(self, seed: str, seconds: float, bait: "dict[str, str]") -> None:
        self._seed = seed
        self._until = time.monotonic() + seconds
        self._bait = bait
        self._tally = Tally()
        self._ends: dict[str, int] = {}
        self._foreign: dict[str, int] = {}
        self._workers = 0
        self._kept = {place: set(os.listdir(place)) for place in _TIDIED if os.path.isdir(place)}
        self._report = os.dup2(2, 500, inheritable=False)

    def run(self) -> None:
        """Start workers until time is over."""
        _ignore_signals()
        self._foreign = foreign.tried(self._seed)
        told = time.monotonic()
        self._tell()
        while time.monotonic() < self._until:
            self._work()
            self._tidy()
            if time.monotonic() - told > _REPORT_SECONDS:
                told = time.monotonic()
                self._tell()
        self._tell()

    def _work(self) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker()
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        until, made = time.monotonic() + _LIFE_SECONDS, -1
        while not poll.poll(_STUCK_SECONDS * 1000) and time.monotonic() < until:
            if made == self._tally.progress():
                break
            made = self._tally.progress()
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)  # it, and what it left: all but this process and init
        ended = os.waitpid(pid, 0)[1]
        os.close(pidfd)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        word = (
            f"signal {os.WTERMSIG(ended)}"
            if os.WIFSIGNALED(ended)
            else f"exit {os.WEXITSTATUS(ended)}"
        )
        self._ends[word] = self._ends.get(word, 0) + 1
        self._workers += 1
        self._tally.take(2 * CALLS)

    def _become_worker(self) -> None:
        os.close(self._report)
        nothing = os.open("/dev/null", os.O_RDWR)
        os.dup2(nothing, 2)
        if self._workers % 16:
            os.dup2(nothing, 1)  # some write to the host's pipe; all would fill it
        try:
            os.chdir("/project")
            Worker(f"{self._seed}:{self._workers}", self._tally, self._bait).run()
        except BaseException:  # noqa: BLE001 - whatever a call did to the interpreter
            os._exit(3)
        os._exit(0)

    def _tidy(self) -> None:
        """Remove what the worker made, so that memory and disk last."""
        for place, kept in self._kept.items():
            with contextlib.suppress(OSError):
                os.chmod(place, 0o755)  # refused for /tmp and what else is not of this user
            with contextlib.suppress(OSError):
                for name in set(os.listdir(place)) - kept:
                    _remove(os.path.join(place, name))
        for kind, remove in (("shm", _libc.shmctl), ("msg", _libc.msgctl), ("sem", _libc.semctl)):
            with contextlib.suppress(OSError), open(f"/proc/sysvipc/{kind}", "rb") as file:
                for line in file.readlines()[1:]:
                    remove(int(line.split()[1]), 0, 0, 0)  # IPC_RMID

    def _tell(self) -> None:
        line = {
            "seed": self._seed,
            "workers": self._workers,
            "ends": self._ends,
            "foreign": self._foreign,
            "spoilt": self._tally.spoilt,
            "calls": self._tally.rows,
        }
        text = b"\n" + json.dumps(line).encode() + b"\n"
        while text:
            try:
                text = text[os.write(self._report, text) :]
            except BlockingIOError:  # a worker may make any pipe so
                select.select([], [self._report], [], 1)


def _ignore_signals() -> None:
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except IsADirectoryError:
        with contextlib.suppress(OSError):
            os.chmod(path, 0o700)
            for name in os.listdir(path):
                _remove(f"{path}/{name}")
            os.rmdir(path)
    except OSError:
        pass


if __name__ == "__main__":
    Run(sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])).run()
