"""The launcher's only long-lived process: small, single-threaded, a maker of sandboxes.

A fork of the kernel's own process would be unsound (threads, locks, secrets in
memory) and slow; a fresh interpreter a run costs tens of milliseconds. This
process does nothing but answer `prepare`, `keep` and `map`, and reap.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import time

from cloche_launch import abi, calls, init, keeper, message, seccomp
from cloche_launch.plan import Ground, PlanRefused, decode_ground, decode_in_place
from cloche_launch.seccomp_in_place import compile_in_place
from cloche_launch.sources import Mapper, MappingNamespaces, Sources, write_map

_NAMESPACES = (
    abi.CLONE_NEWUSER
    | abi.CLONE_NEWNS
    | abi.CLONE_NEWPID
    | abi.CLONE_NEWNET
    | abi.CLONE_NEWIPC
    | abi.CLONE_NEWUTS
)


_PATIENCE = 10.0
"""Seconds that a keeper has to end what it started."""


def serve(descriptor: int) -> int:
    """Answer the host on `descriptor` until it is gone; then nothing of ours is left."""
    # Every sandbox's init has these arguments, and its program can read them: no path of the host's.
    calls.rename_self(b"cloche_launch")
    host = socket.socket(fileno=descriptor)
    _forget_ignored_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the host's to handle
    zygote = Zygote(host, seccomp.compile_profile(os.uname().machine))
    gc.freeze()  # nothing allocated so far is touched by a collection in a child: pages stay shared
    gc.disable()
    zygote.run()
    return 0


def _forget_ignored_signals() -> None:
    """Take back what whoever started this process ignores, as nohup does: programs would inherit it.

    Signals of a terminal do not come here: this process leads a session of its own.
    """
    of_python = {signal.SIGPIPE, signal.SIGXFSZ}
    for number in signal.valid_signals() - of_python:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


class Zygote:
    """Requests in, sandboxes out."""

    def __init__(self, host: socket.socket, seccomp_program: bytes) -> None:
        self._host = host
        self._seccomp = seccomp_program
        self._is_root = os.geteuid() == 0
        self._namespaces = MappingNamespaces()
        self._children: dict[int, int] = {}
        self._keepers: set[int] = set()
        """Which of the children have no pid namespace that would end with them."""
        self._poll = select.poll()
        self._poll.register(host.fileno(), select.POLLIN)

    def run(self) -> None:
        """Serve until the host's end of the socket closes, also by its death."""
        calls.prctl(abi.PR_SET_CHILD_SUBREAPER, 1)  # (23) what a killed keeper leaves becomes ours
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != self._host.fileno():
                    self._reap(descriptor)
                elif not self._answer():
                    self._end_all()
                    return

    def _answer(self) -> bool:
        """Do what the host asks next; False when it is gone."""
        try:
            fields, descriptors = message.receive(self._host)
        except ConnectionError:
            return False
        if fields is None:
            return False
        given: list[int] = []
        try:
            if fields["kind"] == "prepare":
                pid, pidfd = self._prepare(*descriptors)
                reply, given = {"kind": "prepared", "pid": pid}, [pidfd]
            elif fields["kind"] == "keep":
                pid, pidfd = self._keep(*descriptors)
                reply, given = {"kind": "prepared", "pid": pid}, [pidfd]
            else:
                owner = (fields["owner_uid"], fields["owner_gid"])
                given = [self._namespaces.get(owner, fields["host_uid"], fields["host_gid"])]
                reply = {"kind": "mapped"}
        except (OSError, PlanRefused) as error:
            call = getattr(error, "call", type(error).__name__)
            reply = {"kind": "failed", "call": call, "detail": str(error)}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            message.send(self._host, reply, given)
        except ConnectionError:
            return False  # it died while it waited
        return True

    def _prepare(self, document: int, channel: int) -> tuple[int, int]:
        """Make a sandbox up to where its program must be known; (pid of its init, pidfd)."""
        ground = decode_ground(document)
        with contextlib.ExitStack() as opened:
            sources = self._sources(ground)
            if sources is not None:
                opened.callback(sources.close)
            # With our rights: who writes to a group's file is judged by who opened it.
            tasks = [_open(path, os.O_WRONLY, opened) for path in ground.tasks_files]
            group = _open(ground.group, os.O_RDONLY, opened) if ground.group else None
            gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
            opened.callback(os.close, gate_read)
            opened.callback(os.close, gate_write)
            pid, pidfd = calls.clone3(_NAMESPACES, group)
            if pid == 0:
                os.close(gate_write)
                self._be_init(ground, channel, sources, tasks, gate_read)
            self._children[pidfd] = pid
            self._poll.register(pidfd, select.POLLIN)
            self._admit(ground, pid, pidfd)
            os.write(gate_write, b"\n")
        return pid, pidfd

    def _keep(self, document: int, channel: int, *streams: int) -> tuple[int, int]:
        """Start a keeper, which has no namespaces of its own; (its pid, pidfd)."""
        plan = decode_in_place(document)
        connects = plan.proxy_port > 0
        # The profile last: it lets nobody put another filter up.
        filters = (compile_in_place(os.uname().machine, connects=connects), self._seccomp)
        pid = os.fork()
        if pid == 0:
            self._host.close()
            ours = [os.dup(each) for each in streams]
            keeper.run(plan, socket.socket(fileno=os.dup(channel)), ours, filters)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid
        self._keepers.add(pid)
        self._poll.register(pidfd, select.POLLIN)
        return pid, pidfd

    def _sources(self, ground: Ground) -> "Sources | None":
        """Open what the ground shows, where the sandbox itself may not."""
        if not self._is_root:
            return None
        return Sources(ground.mounts, Mapper(self._namespaces, ground.host_uid, ground.host_gid))

    def _be_init(
        self,
        ground: Ground,
        channel: int,
        sources: "Sources | None",
        tasks: list[int],
        gate_read: int,
    ) -> None:
        # Without the word the parent failed or died: the barriers are not complete.
        if not os.read(gate_read, 1):
            os._exit(125)
        os.close(gate_read)
        self._host.close()
        init.run(ground, socket.socket(fileno=os.dup(channel)), sources, tasks, self._seccomp)

    def _admit(self, ground: Ground, pid: int, pidfd: int) -> None:
        """Write the maps, before init does anything."""
        try:
            write_map(pid, "uid_map", ground.inside_uid, ground.host_uid)
            if not self._is_root:
                _write(f"/proc/{pid}/setgroups", b"deny")
            write_map(pid, "gid_map", ground.inside_gid, ground.host_gid)
        except OSError:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            raise

    def _reap(self, pidfd: int) -> None:
        pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        os.close(pidfd)
        if pid in self._keepers:
            self._keepers.remove(pid)
            self._end_adopted()

    def _end_adopted(self) -> None:
        """Kill what a keeper left that was killed itself, and wait until there is nothing of it."""
        while adopted := set(keeper.children(os.getpid())) - set(self._children.values()):
            keeper.kill_trees(adopted)
            for pid in adopted:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _end_all(self) -> None:
        """Kill every init; wait for the keepers, whose sockets have closed as well, to end theirs."""
        self._poll.unregister(self._host.fileno())
        for pidfd, pid in self._children.items():
            if pid not in self._keepers:
                _kill(pidfd)
        until = time.monotonic() + _PATIENCE
        while self._children:
            ready = self._poll.poll(max(0.0, until - time.monotonic()) * 1000)
            if not ready:
                for pidfd in self._children:
                    _kill(pidfd)
                until = time.monotonic() + _PATIENCE
            for pidfd, _ in ready:
                self._reap(pidfd)


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _open(path: str, how: int, opened: contextlib.ExitStack) -> int:
    descriptor = os.open(path, how | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return descriptor


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
