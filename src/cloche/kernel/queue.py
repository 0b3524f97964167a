"""The queue that all kernels of a user on one machine share: a directory of locked files, no daemon.

    <home>/queue-<user>/<boot>/door                     locked while somebody reads or changes the rest
    <home>/queue-<user>/<boot>/waiting-<number>-<chance>  a claim that waits; its kernel touches it as it asks
    <home>/queue-<user>/<boot>/running-<number>-<chance>  a claim that was admitted

A ticket counts while its kernel holds a flock(2) on it. The lock goes with the
process, however that ends, so the share of a kernel that was killed is free at
once, and whoever looks next removes its files. <boot> is the machine's boot id:
a home on the network serves several machines, and each is a budget of its own.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloche.errors import InvalidValue
from cloche.kernel.budget import Budget, Claim, Ticket, Turn, decide
from cloche.kernel.errors import QueueUnavailable
from cloche.workspace.layout import open_private

_DOOR = "door"
_NAME = re.compile(r"(?P<state>waiting|running)-(?P<number>[0-9]+)-[0-9a-f]{16}")
_WAITING, _RUNNING = "waiting-", "running-"
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LARGEST = 64 << 10
_QUIET_SECONDS = 10.0  # whoever asks does so once a second at least


class Queue:
    """Where the steps of a user's runs take their tickets, and the budget that this kernel goes by."""

    def __init__(self, home: Path, budget: Budget, *, patience_seconds: float = 30.0) -> None:
        """Queue below `home`. The door is held for milliseconds: after `patience_seconds` it is an error."""
        self.budget = budget
        self.place = home / f"queue-{os.geteuid()}"
        self.patience_seconds = patience_seconds

    def open(self) -> int:
        """Open the directory of the tickets, made if need be. Raises QueueUnavailable."""
        path = self.place / _boot()
        is_first = not os.path.lexists(path)
        try:
            directory = open_private(path)
        except OSError as error:
            why = error.strerror or str(error)
            raise QueueUnavailable(str(path), why) from error
        if is_first:
            _remove_idle(self.place, path.name)
        return directory

    def look(self) -> tuple[Ticket, ...]:
        """Give every ticket that counts, in the order of arrival. Raises QueueUnavailable."""
        directory = self.open()
        until = time.monotonic() + self.patience_seconds
        try:
            while time.monotonic() < until:
                with self.door(directory) as is_ours:
                    if is_ours:
                        return _tickets(directory, "")
                time.sleep(0.01)
        finally:
            os.close(directory)
        raise self.blocked()

    @contextmanager
    def door(self, directory: int) -> Iterator[bool]:
        """Hold the lock under which tickets are read and changed; yields False when somebody else does.

        Never waits: a process can be stopped with it in hand. Raises FileNotFoundError
        when the directory is gone, and QueueUnavailable.
        """
        try:
            descriptor = os.open(_DOOR, _FLAGS | os.O_RDWR | os.O_CREAT, 0o600, dir_fd=directory)
        except FileNotFoundError:
            raise  # somebody cleared the directory: it can be made anew
        except OSError as error:
            raise self._failed(error) from error
        try:
            yield self._lock(descriptor)
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._failed(error) from error  # a file system without locks
        return True

    def blocked(self) -> QueueUnavailable:
        """Give the error for a door that stays locked."""
        why = f"another process has held its lock for {self.patience_seconds:g} s"
        return QueueUnavailable(str(self.place / _boot() / _DOOR), why)

    def _failed(self, error: OSError) -> QueueUnavailable:
        return QueueUnavailable(str(self.place / _boot()), error.strerror or str(error))


class Place:
    """One step's place in the queue: nothing until it asks, and nothing after it has left."""

    def __init__(self, queue: Queue, claim: Claim) -> None:
        self._queue = queue
        self._claim = claim
        self._directory = -1
        self._ticket = -1
        self._name = ""
        self._blocked_since: float | None = None

    def ask(self) -> Turn | None:
        """Ask whose turn it is, taking a ticket the first time; the share is held from an admission on.

        None: somebody else is asking just now. Raises QueueUnavailable, and OSError when the disk is full.
        """
        if self._directory < 0:
            self._directory = self._queue.open()
        try:
            with self._queue.door(self._directory) as is_ours:
                if not is_ours:
                    self._wait_patiently()
                    return None
                self._blocked_since = None
                return self._ask(self._directory)
        except FileNotFoundError:
            self.leave()  # somebody cleared the directory: at the end of the new queue, then
            return None

    def _ask(self, directory: int) -> Turn:
        others = _tickets(directory, self._name)
        if not self._name:
            self._take(1 + max((ticket.number for ticket in others), default=0))
        number = int(self._name.split("-")[1])
        mine = Ticket(number=number, claim=self._claim, admitted=False)
        turn = decide(mine, others, self._queue.budget)
        now = time.time()
        os.utime(self._name, (now, now), dir_fd=directory, follow_symlinks=False)
        if turn.admitted:
            admitted = _RUNNING + self._name.removeprefix(_WAITING)
            os.rename(self._name, admitted, src_dir_fd=directory, dst_dir_fd=directory)
            self._name = admitted
        return turn

    def _take(self, number: int) -> None:
        name = f"{_WAITING}{number:08d}-{secrets.token_hex(8)}"
        flags = _FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL
        # Set first: `leave` removes it also when what follows fails.
        self._name = name
        self._ticket = os.open(name, flags, 0o600, dir_fd=self._directory)
        fcntl.flock(self._ticket, fcntl.LOCK_EX | fcntl.LOCK_NB)
        content = _encode(self._claim)
        if os.write(self._ticket, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def _wait_patiently(self) -> None:
        now = time.monotonic()
        self._blocked_since = now if self._blocked_since is None else self._blocked_since
        if now - self._blocked_since > self._queue.patience_seconds:
            raise self._queue.blocked()

    def leave(self) -> None:
        """Give the place up, and the share with it; harmless when repeated."""
        # Without the door: a ticket that is gone is gone, at whatever moment others look.
        if self._name:
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._directory)
        for descriptor in (self._ticket, self._directory):
            if descriptor >= 0:
                os.close(descriptor)
        self._name, self._ticket, self._directory = "", -1, -1


def _tickets(directory: int, mine: str) -> tuple[Ticket, ...]:
    """Give the tickets that count, but for `mine`; to be called behind the door alone."""
    found = []
    for name in os.listdir(directory):
        match = _NAME.fullmatch(name)
        if match is None or name == mine:
            continue
        content, asked = _read_alive(directory, name)
        claim = decode_claim(content)
        if claim is None:
            continue
        found.append(
            Ticket(
                number=int(match["number"]),
                claim=claim,
                admitted=match["state"] == "running",
                asking=time.time() - asked < _QUIET_SECONDS,
            )
        )
    return tuple(sorted(found, key=lambda ticket: ticket.number))


def _read_alive(directory: int, name: str) -> tuple[bytes, float]:
    """Give what a ticket says and when it was last touched; nothing when nobody holds it.

    One that nobody holds is a dead kernel's, and removed. What is no plain file
    of ours is no ticket: it is let be.
    """
    nothing = b"", 0.0
    try:
        descriptor = os.open(name, _FLAGS | os.O_RDONLY, dir_fd=directory)
    except OSError:
        return nothing  # its holder has left meanwhile, or it is a link, or not ours to read
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return nothing
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(descriptor, _LARGEST + 1, 0), status.st_mtime
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)
        return nothing
    finally:
        os.close(descriptor)


def _remove_idle(place: Path, ours: str) -> None:
    """Remove what earlier boots left, unless it holds tickets: it may be another machine's."""
    with contextlib.suppress(OSError):
        for old in place.iterdir():
            if old.name != ours and set(os.listdir(old)) <= {_DOOR}:
                (old / _DOOR).unlink(missing_ok=True)
                old.rmdir()


def _encode(claim: Claim) -> bytes:
    fields = {
        name: getattr(claim, name) for name in ("job", "step", "project", "memory_bytes", "pid")
    }
    return json.dumps(fields).encode()


def decode_claim(content: bytes) -> Claim | None:
    """Read what a ticket says; None for what no kernel wrote. Pure.

    Another program of the user may have put anything there.
    """
    if len(content) > _LARGEST:
        return None
    try:
        fields = json.loads(content)
        texts = [fields[name] for name in ("job", "step", "project")]
        numbers = [fields[name] for name in ("memory_bytes", "pid")]
        if not all(type(text) is str for text in texts):
            return None
        if not all(type(number) is int for number in numbers):
            return None
        return Claim(
            job=texts[0],
            step=texts[1],
            project=texts[2],
            memory_bytes=numbers[0],
            pid=numbers[1],
        )
    except (ValueError, KeyError, TypeError, RecursionError, InvalidValue):
        return None


def _boot() -> str:
    """Give the id of this boot of this machine. proc_sys_kernel(5): random/boot_id."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
