"""Sandboxes made ahead: they stand, empty and harmless, until a plan comes that fits them."""

import asyncio
import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from cloche.model.limits import Limits
from cloche.platforms.linux.cgroup import CgroupHome, Group
from cloche.platforms.linux.launcher import Launcher, document
from cloche.platforms.linux.standing import held_from_outside
from cloche.sandbox.codec import encode_ground
from cloche.sandbox.errors import SpawnFailed
from cloche.sandbox.features import Finding
from cloche.sandbox.ground import Ground
from cloche_launch import message
from cloche_launch.sources import Sources

# Host users that no account has: above every range distributions hand out, below 2^31.
_FIRST_UID = 0x7000_0000
# Init still has to make the process that starts the program.
_LEAST_AHEAD = 3
# After a start the program has the processors to itself for this long, unless it ends before.
_REST_SECONDS = 0.02

Identities = tuple[tuple[int, int] | None, ...]
"""Of each host path that the ground shows: (device, inode), None where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A sandbox whose init waits for its plan."""

    ground: Ground
    identities: Identities
    slot: int
    user: tuple[int, int]
    """The host's user and group that the program will be."""
    pid: int
    pidfd: int
    channel: socket.socket
    group: Group
    limits: Limits | None = None
    """In force already, because the last plan had them."""
    held: tuple[Finding, ...] = ()
    """What was read back of them."""

    def hold(self, limits: Limits) -> tuple[Finding, ...]:
        """Put `limits` in force if they are not, and say what holds. Raises OSError."""
        if self.limits == limits:
            return self.held
        self.group.limit(limits)
        return held_from_outside(self.pid, self.group)

    def launch(self, plan: bytes, streams: tuple[int, int, int], trees: Sources | None) -> None:
        """Hand over the plan, the three standard streams, and what root has opened; closes `trees`.

        Raises OSError when its init is gone.
        """
        names, opened = trees.listed() if trees is not None else (None, [])
        try:
            with document(plan) as memory:
                message.send(
                    self.channel,
                    {"kind": "launch", "trees": names},
                    [memory, *streams, *opened],
                )
        finally:
            if trees is not None:
                trees.close()

    def is_alive(self) -> bool:
        """Tell whether its init still waits: somebody may have killed it meanwhile. pidfd_open(2)."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def find_last_words(self) -> SpawnFailed | None:
        """Give the failure that its init told before it ended, None when it told none."""
        with contextlib.suppress(OSError, ValueError):
            while True:
                fields, descriptors = message.receive(self.channel)
                for descriptor in descriptors:
                    os.close(descriptor)
                if fields is None:
                    break
                if fields.get("kind") == "failed":
                    return SpawnFailed(str(fields.get("call")), str(fields.get("detail"))[:500])
        return None

    def kill(self) -> None:
        """End it unused; its group is left to be removed."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)
        self.channel.close()
        self.group.kill()


class Nursery:
    """Prepares sandboxes: on demand, and a few ahead of the next demands for the same ground."""

    def __init__(self, launcher: Launcher, groups: Callable[[], CgroupHome], ahead: int) -> None:
        self._launcher = launcher
        self._groups = groups
        self._ahead = ahead
        self._ready: list[Prepared] = []
        self._slots: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._expected: Ground | None = None
        self._limits: Limits | None = None
        self._buried: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        self._closed = False
        self._mounts = MountWatch()

    async def take(self, ground: Ground) -> Prepared:
        """Give a sandbox on `ground`, made ahead if there is one that is neither stale nor dead."""
        self._drop_unfit(ground)
        if not self._ready and self._expected == ground and self._task is not None:
            # It is being made already: making another beside it would take longer.
            self._hurry.set()
            await self._task
            self._drop_unfit(ground)
        if self._ready:
            return self._ready.pop(0)
        return await self._prepare(ground)

    def expect(self, ground: Ground, limits: Limits) -> None:
        """Prepare in the background for the next plan, which probably has this ground and these limits."""
        self._limits = limits
        if self._task is None or self._task.done():
            self._expected = ground
            self._hurry.clear()
            self._task = asyncio.create_task(self._fill(ground))

    def give_up(self, prepared: Prepared) -> None:
        """End a sandbox that never became a process; nobody waits until it is gone, save `close`."""
        prepared.kill()
        task = asyncio.create_task(self._bury(prepared))
        self._buried.add(task)
        task.add_done_callback(self._buried.discard)

    async def _bury(self, prepared: Prepared) -> None:
        await asyncio.to_thread(prepared.group.remove)
        self.free(prepared.slot)

    def free(self, slot: int) -> None:
        """Take back the host user of a sandbox that is gone, with all that ran as it."""
        self._slots.discard(slot)
        self._hurry.set()

    async def close(self) -> None:
        """End what was made and never used."""
        self._closed = True
        self._hurry.set()
        if self._task is not None:
            await self._task  # never cancelled: what it has asked for must be here to be ended
        for prepared in list(self._ready):
            self._drop(prepared)
        while self._buried:
            await asyncio.wait(self._buried)
        self._mounts.close()

    async def _fill(self, ground: Ground) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), _REST_SECONDS)
        while not self._closed and len(self._ready) < self._ahead:
            try:
                prepared = await self._prepare(ground)
            except (SpawnFailed, OSError):
                return  # whoever asks next is told why
            try:
                self._ready.append(_limited(prepared, self._limits))
            except OSError:
                self.give_up(prepared)
                return

    def _drop_unfit(self, ground: Ground) -> None:
        """Leave only what stands on `ground` and is neither stale nor dead."""
        identities = _identities(ground)
        # A sandbox has the host's mounts as they were when it was made, and would not see a later one.
        moved = self._mounts.have_changed()
        for prepared in list(self._ready):
            same = (prepared.ground, prepared.identities) == (ground, identities)
            if moved or not same or not prepared.is_alive():
                self._drop(prepared)

    def _drop(self, prepared: Prepared) -> None:
        self._ready.remove(prepared)
        self.give_up(prepared)

    async def _prepare(self, ground: Ground) -> Prepared:
        slot = next(n for n in range(len(self._slots) + 1) if n not in self._slots)
        self._slots.add(slot)
        identities = _identities(ground)
        group = self._groups().create()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            user = _user(slot)
            words = encode_ground(
                ground,
                host_uid=user[0],
                host_gid=user[1],
                group=group.directory,
                tasks_files=group.tasks_files,
            )
            with theirs:
                pid, pidfd = await self._launcher.prepare(words, theirs.fileno())
        except BaseException:
            ours.close()
            group.kill()
            group.remove()
            self.free(slot)
            raise
        ours.setblocking(False)
        return Prepared(
            ground=ground,
            identities=identities,
            slot=slot,
            user=user,
            pid=pid,
            pidfd=pidfd,
            channel=ours,
            group=group,
        )


def _limited(prepared: Prepared, limits: Limits | None) -> Prepared:
    """Put in force ahead of time what the next plan will probably ask for."""
    if limits is None or limits.processes < _LEAST_AHEAD:
        return prepared
    return replace(prepared, limits=limits, held=prepared.hold(limits))


class MountWatch:
    """Tells whether the host's mounts changed since it was last asked. proc_pid_mounts(5)."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)

    def have_changed(self) -> bool:
        """Ask; the first question is answered from the time of the making on."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Stop watching."""
        os.close(self._file)


def _user(slot: int) -> tuple[int, int]:
    """Give the host's user and group of the program: never 0."""
    if os.geteuid() == 0:
        return _FIRST_UID + slot, _FIRST_UID + slot
    return os.geteuid(), os.getegid()


def _identities(ground: Ground) -> Identities:
    """Tell files apart that were replaced since, as ldconfig replaces its cache by renaming."""
    found: list[tuple[int, int] | None] = []
    for path in ground.sources():
        try:
            status = os.stat(path)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return tuple(found)
