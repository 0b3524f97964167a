"""What the sandbox's init does once the program runs: reaps, and serves the host until one of them ends."""

import contextlib
import os
import select
import signal
import socket

from cloche_launch import message
from cloche_launch.mirror import put
from cloche_launch.plan import InPlace, LaunchPlan

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def supervise(
    plan: "LaunchPlan | InPlace", channel: socket.socket, child: int, end: "Callable[[], None]"
) -> int:
    """Wait for the program, reap orphans, serve the host; give the status to end with.

    Needs no right: every capability is gone by now. `end` ends what the program left behind.
    """
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(wake_read, select.POLLIN)
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        status = _collect(child)
        if status is not None:
            end()  # (23) before the host hears of the end: nothing else runs then
            tell(channel, {"kind": "exited", "status": status})
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


def end_the_rest() -> None:
    """Kill what the program left behind and wait until there is nothing. kill(2): -1 spares init."""
    if os.getpid() != 1:
        return  # not in a namespace of its own: -1 would mean everything this user runs
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _serve(plan: "LaunchPlan | InPlace", channel: socket.socket, child: int) -> bool:
    fields, descriptors = message.receive(channel)
    if fields is None:
        return False  # the host is gone
    if fields["kind"] == "terminate":
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    elif fields["kind"] == "put" and plan.mirror:
        tell(channel, {"kind": "put-done", "error": put(fields["path"], descriptors)})
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


def tell(channel: socket.socket, fields: "dict[str, Any]") -> None:
    """Send to the host, who may be gone: then there is nobody to tell."""
    with contextlib.suppress(OSError):
        message.send(channel, fields)
