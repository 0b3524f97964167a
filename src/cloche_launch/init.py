"""The sandbox's init: puts up the outer barriers, starts the program, reaps, and ends with it."""

import contextlib
import json
import os
import select
import signal
import socket

from cloche_launch import abi, calls, message, mounts, network, payload, privileges
from cloche_launch.mirror import put
from cloche_launch.plan import LaunchPlan
from cloche_launch.sources import Sources

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def run(
    plan: LaunchPlan,
    channel: socket.socket,
    sources: "Sources | None",
    stdio: list[int],
    seccomp_program: bytes,
) -> None:
    """Be pid 1 of the sandbox; never returns."""
    status = 125
    try:
        status = _live(plan, channel, sources, stdio, seccomp_program)
    except OSError as error:
        _tell(
            channel,
            {"kind": "failed", "call": getattr(error, "call", "init"), "detail": str(error)},
        )
    finally:
        os._exit(status)


def _live(
    plan: LaunchPlan,
    channel: socket.socket,
    sources: "Sources | None",
    stdio: list[int],
    seccomp_program: bytes,
) -> int:
    enter(plan, channel, sources)
    exec_read, exec_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        payload.start(plan, stdio, seccomp_program, exec_write)
    os.close(exec_write)
    for descriptor in stdio:
        os.close(descriptor)
    privileges.drop_capabilities()  # (9) init needs none from here on
    for line in _lines(exec_read):
        _tell(channel, line)
        if line["kind"] == "failed":
            os.waitpid(child, 0)
            return 125
    _tell(channel, {"kind": "started"})
    return _reap(plan, channel, child)


def enter(plan: LaunchPlan, channel: socket.socket, sources: "Sources | None") -> None:
    """Put up the barriers around this process, outermost first; numbers as in docs/threat-model.md."""
    calls.unshare(abi.CLONE_NEWCGROUP)  # (7) now that this process is in its own group
    privileges.become(
        plan.inside_uid, plan.inside_gid
    )  # (1) (16) the other namespaces came with clone3
    calls.prctl(
        abi.PR_SET_PDEATHSIG, signal.SIGKILL
    )  # (23) after the change of user, which clears it
    sources = sources if sources is not None else Sources(plan)
    root = mounts.Root(sources)  # (2)
    for operation in plan.mounts:
        root.apply(operation)
    sources.close()
    root.enter()
    sockets, level = network.furnish(observed=plan.observed)  # (4) (24)
    names = [name for name, _ in sockets]
    message.send(
        channel,
        {"kind": "network", "names": names, "level": level},
        [s.fileno() for _, s in sockets],
    )
    for _, each in sockets:
        each.close()
    socket.sethostname("cloche")  # (6)
    calls.prctl(abi.PR_SET_DUMPABLE, 0)  # (15) no one inside may look into this process
    privileges.no_new_privileges()  # (8)


def _reap(plan: LaunchPlan, channel: socket.socket, child: int) -> int:
    """Wait for the program, reap orphans, serve the host; give the status to end with."""
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(wake_read, select.POLLIN)
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        status = _collect(child)
        if status is not None:
            _tell(channel, {"kind": "exited", "status": status})
            return 0
        for descriptor, _ in poll.poll():
            if descriptor == wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
            elif not _serve(plan, channel, child):
                return 125
    return 125


def _collect(child: int) -> int | None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 125
        if pid == 0:
            return None
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _serve(plan: LaunchPlan, channel: socket.socket, child: int) -> bool:
    fields, descriptors = message.receive(channel)
    if fields is None:
        return False  # the host is gone
    if fields["kind"] == "terminate":
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    elif fields["kind"] == "put" and plan.mirror:
        _tell(channel, {"kind": "put-done", "error": put(fields["path"], descriptors)})
    elif fields["kind"] == "connect" and plan.inbound:
        _hand_over(channel, fields["family"], fields["count"])
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def _hand_over(channel: socket.socket, family: int, count: int) -> None:
    """Give the host sockets of this network namespace, from which it connects in."""
    kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC
    made = [socket.socket(family, kind) for _ in range(count)]
    try:
        message.send(channel, {"kind": "sockets"}, [each.fileno() for each in made])
    finally:
        for each in made:
            each.close()


def _tell(channel: socket.socket, fields: "dict[str, Any]") -> None:
    with contextlib.suppress(OSError):
        message.send(channel, fields)


def _lines(descriptor: int) -> "Iterator[dict[str, Any]]":
    """Yield what the program's own process reports until the exec closes the pipe."""
    text = b""
    while block := os.read(descriptor, 65_536):
        text += block
    os.close(descriptor)
    for line in text.splitlines():
        yield json.loads(line)
