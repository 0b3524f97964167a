"""The launcher's only long-lived process: small, single-threaded, a maker of sandboxes.

A fork of the kernel's own process would be unsound (threads, locks, secrets in
memory) and slow; a fresh interpreter a run costs tens of milliseconds. This
process does nothing but answer `spawn` and reap.
"""

import contextlib
import gc
import os
import select
import signal
import socket

from cloche_launch import abi, calls, init, message, seccomp
from cloche_launch.plan import LaunchPlan, PlanRefused, decode
from cloche_launch.sources import MappingNamespaces, Sources, write_map

_NAMESPACES = (
    abi.CLONE_NEWUSER
    | abi.CLONE_NEWNS
    | abi.CLONE_NEWPID
    | abi.CLONE_NEWNET
    | abi.CLONE_NEWIPC
    | abi.CLONE_NEWUTS
)


def serve(descriptor: int) -> int:
    """Answer the host on `descriptor` until it is gone; then nothing of ours is left."""
    host = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the host's to handle
    zygote = Zygote(host, seccomp.compile_profile(os.uname().machine))
    gc.freeze()  # nothing allocated so far is touched by a collection in a child: pages stay shared
    gc.disable()
    zygote.run()
    return 0


class Zygote:
    """Requests in, sandboxes out."""

    def __init__(self, host: socket.socket, seccomp_program: bytes) -> None:
        self._host = host
        self._seccomp = seccomp_program
        self._is_root = os.geteuid() == 0
        self._namespaces = MappingNamespaces()
        self._children: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(host.fileno(), select.POLLIN)

    def run(self) -> None:
        """Serve until the host's end of the socket closes, also by its death."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != self._host.fileno():
                    self._reap(descriptor)
                elif not self._answer():
                    self._end_all()
                    return

    def _answer(self) -> bool:
        fields, descriptors = message.receive(self._host)
        if fields is None:
            return False
        try:
            pid, pidfd = self._spawn(descriptors)
        except (OSError, PlanRefused) as error:
            call = getattr(error, "call", type(error).__name__)
            message.send(self._host, {"kind": "failed", "call": call, "detail": str(error)})
        else:
            message.send(self._host, {"kind": "spawned", "pid": pid}, [pidfd])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _spawn(self, descriptors: list[int]) -> tuple[int, int]:
        document, channel, *stdio = descriptors
        plan = decode(os.pread(document, os.fstat(document).st_size, 0))
        sources = Sources(plan, self._namespaces) if self._is_root else None
        gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
        try:
            pid, pidfd = calls.clone3(_NAMESPACES)
            if pid == 0:
                os.close(gate_write)
                self._be_init(plan, channel, sources, stdio, gate_read)
            self._children[pidfd] = pid
            self._poll.register(pidfd, select.POLLIN)
            self._admit(plan, pid, pidfd)
            os.write(gate_write, b"+")
        finally:
            os.close(gate_read)
            os.close(gate_write)
            if sources is not None:
                sources.close()
        return pid, pidfd

    def _be_init(
        self,
        plan: LaunchPlan,
        channel: int,
        sources: "Sources | None",
        stdio: list[int],
        gate: int,
    ) -> None:
        # Without the byte the parent failed or died: the barriers are not complete.
        if os.read(gate, 1) != b"+":
            os._exit(125)
        self._host.close()
        init.run(
            plan,
            socket.socket(fileno=os.dup(channel)),
            sources,
            [os.dup(d) for d in stdio],
            self._seccomp,
        )

    def _admit(self, plan: LaunchPlan, pid: int, pidfd: int) -> None:
        """Write the maps and put init into its control groups, before it does anything."""
        try:
            write_map(pid, "uid_map", plan.inside_uid, plan.host_uid)
            if not self._is_root:
                _write(f"/proc/{pid}/setgroups", b"deny")
            write_map(pid, "gid_map", plan.inside_gid, plan.host_gid)
            for path in plan.procs_files:
                _write(path, str(pid).encode())
        except OSError:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            raise

    def _reap(self, pidfd: int) -> None:
        pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        os.close(pidfd)

    def _end_all(self) -> None:
        for pidfd, pid in self._children.items():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
