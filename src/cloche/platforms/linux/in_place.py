"""Starting a program where no namespace can be had: Landlock and seccomp around a process of the host's own."""

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from cloche.platforms.linux.cgroup import Group, Owner
from cloche.platforms.linux.launcher import Launcher
from cloche.platforms.linux.process import LinuxProcess
from cloche.platforms.linux.streams import Streams, make_streams
from cloche.platforms.linux.watcher import count_tasks
from cloche.sandbox.codec import encode_in_place
from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.in_place import InPlacePlan, in_place, private_places
from cloche.sandbox.plan import SandboxPlan

_PATIENCE = 5.0
"""Seconds that a keeper has to end what it started."""
_OF_ROOT = "the landlock tier holds only what an ordinary user may not do, and this is root"


class InPlaceProcess(LinuxProcess):
    """A process whose tree is in nobody's pid namespace: its keeper ends it, and then itself."""

    def kill(self) -> None:
        """Have the keeper end everything; one that does not is killed, and the zygote ends the rest."""
        self._group.kill()
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        asyncio.get_running_loop().call_later(_PATIENCE, self._insist)

    def _insist(self) -> None:
        if not self._gone.is_set():
            super().kill()


async def launch(
    plan: SandboxPlan,
    launcher: Launcher,
    group: Group,
    bury: Callable[[Coroutine[Any, Any, None]], None],
) -> LinuxProcess:
    """Start `plan` in `group`, whose limits are in force; the process is not yet awaited.

    Raises CannotConfine for root, SpawnFailed, OSError.
    """
    if os.geteuid() == 0:
        raise CannotConfine("not-the-hosts-root", _OF_ROOT, "start Cloche as an ordinary user")
    home = private_home()
    listener = open_listener() if plan.network.outbound else None
    with contextlib.ExitStack() as undo:
        undo.callback(remove, home)
        if listener is not None:
            undo.callback(listener.close)
        inside, ours = make_streams(feeds=plan.stdin)
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undo.callback(channel.close)
        for descriptor in ours.values():
            undo.callback(os.close, descriptor)
        try:
            written = _lay_out(plan, home, listener.getsockname()[1] if listener else 0)
            words = encode_in_place(
                written,
                readable=tuple(_without(written.readable, written.masked)),
                # RLIMIT_NPROC counts all that the user runs, which may become more meanwhile: twice the
                # limit stops a bomb between two looks of whoever counts.
                processes=plan.limits.processes
                + await asyncio.to_thread(count_tasks, os.geteuid()),
                procs_files=_procs_files(group),
            )
            pid, pidfd = await launcher.keep(words, theirs.fileno(), inside)
        finally:
            theirs.close()
            for descriptor in inside:
                os.close(descriptor)
        place = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        undo.pop_all()
    channel.setblocking(False)
    # By descriptor from here on: the program may set the modes of all that the user owns.
    process = InPlaceProcess(
        pid=pid,
        pidfd=pidfd,
        channel=channel,
        streams=Streams(ours, plan.limits.output_bytes),
        limits=plan.limits,
        group=group,
        bury=bury,
        after=lambda: _forget(place, home),
    )
    process.own_place = place
    if listener is not None:
        process.sockets["proxy"] = listener
    return process


def private_home() -> Path:
    """Make a private directory for one run among the temporary files; those of dead kernels go first."""
    place = Path(tempfile.gettempdir())
    for old in place.glob("cloche.*"):
        owner = Owner.find_in(old.name)
        is_ours = owner is not None and old.lstat().st_uid == os.geteuid() and not old.is_symlink()
        if owner is not None and is_ours and owner.is_dead(Owner.read(owner.pid)):
            remove(old)
    # Nobody can have made it ahead: the name is not to be guessed, and mkdir(2) takes none that is there.
    home = place / Owner.read(os.getpid()).label(0, secrets.randbelow(1 << 62))
    home.mkdir(mode=0o700)
    return home


def _forget(place: int, home: Path) -> None:
    os.close(place)
    remove(home)


def remove(home: Path) -> None:
    """Remove what a program left, however deep and whatever modes it gave it; what resists is left."""
    for words in (("chmod", "-R", "u+rwX"), ("rm", "-rf")):
        subprocess.run(
            [*words, "--", str(home)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )


def _lay_out(plan: SandboxPlan, home: Path, port: int) -> InPlacePlan:
    """Make the private directories and links that stand for parts of a root."""
    made = {}
    for number, target in enumerate(private_places(plan)):
        directory = home / f"{number}-{target.rpartition('/')[2]}"
        directory.mkdir(mode=0o700)
        made[target] = str(directory)
    written = in_place(plan, made, port)
    for path, to in written.links:
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink() and not place.exists():
            place.symlink_to(to)
    return written


def _without(readable: tuple[str, ...], masked: tuple[str, ...]) -> Iterator[str]:
    """Yield `readable` without `masked`: a rule holds for all below it, so what is beside is named."""
    waiting = list(readable)
    while waiting:
        path = waiting.pop()
        if any(mask == path for mask in masked):
            continue
        if not any(mask.startswith(f"{path}/") for mask in masked):
            yield path
            continue
        with contextlib.suppress(OSError):
            waiting += [f"{path}/{name}" for name in sorted(os.listdir(path))]


class OwnListener(socket.socket):
    """Takes connections of our own user alone: the port is the host's, and everybody's to find."""

    def accept(self) -> tuple[socket.socket, Any]:  # Any: an address, as in socket.accept
        """See socket.accept; whoever else connects is hung up on."""
        while True:
            connection, peer = super().accept()
            if _find_user(peer, self.getsockname()) == os.geteuid():
                return connection, peer
            connection.close()


def open_listener() -> OwnListener:
    """Listen on a free port of the host's loopback."""
    listener = OwnListener(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _find_user(of: tuple[str, int], to: tuple[str, int]) -> int | None:
    """Give whose the end `of` of a connection is. proc_pid_net(5): addresses in the machine's order."""
    ends = [
        f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
        for host, port in (of, to)
    ]
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = (line.split() for line in file)
        return next((int(row[7]) for row in rows if row[1:3] == ends), None)


def _procs_files(group: Group) -> tuple[str, ...]:
    """Give where a process writes that it belongs to `group`; nothing for a watcher."""
    if group.directory:
        return (f"{group.directory}/cgroup.procs",)
    return group.tasks_files
