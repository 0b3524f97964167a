"""Where no namespace can be had: a program of the host's own, narrowed by Landlock and seccomp.

The keeper stands where a sandbox's init would: it starts the program, reaps
what the program leaves behind, serves the host, and ends everything with it.
What this does not hold is said in docs/tiers.md.
"""

import contextlib
import os
import signal
import socket
import time

from cloche_launch import abi, calls, landlock, payload, privileges, seccomp
from cloche_launch.plan import InPlace, PlanRefused
from cloche_launch.supervise import supervise, tell

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def run(
    plan: InPlace, channel: socket.socket, streams: list[int], filters: tuple[bytes, bytes]
) -> None:
    """Be the keeper of one program; never returns."""
    status, alone = 125, False
    try:
        privileges.no_new_privileges()  # (8)
        alone = _is_alone()
        status = _live(plan, channel, streams, filters, lambda: end_descendants(alone=alone))
    except (OSError, PlanRefused) as error:
        call = getattr(error, "call", "keeper")
        tell(channel, {"kind": "failed", "call": call, "detail": str(error)})
    finally:
        end_descendants(alone=alone)
        os._exit(status)


def _is_alone() -> bool:
    """Confine signals to this process and what it starts; True when seen to hold."""
    parent = os.getppid()
    os.kill(parent, 0)  # before, it could be signalled
    if not landlock.confine_signals():
        return False
    try:
        os.kill(parent, 0)
    except PermissionError:
        return True
    return False


def _live(
    plan: InPlace,
    channel: socket.socket,
    streams: list[int],
    filters: tuple[bytes, bytes],
    end: "Callable[[], None]",
) -> int:
    os.setsid()
    for path in plan.procs_files:
        _join(path)
    calls.prctl(abi.PR_SET_CHILD_SUBREAPER, 1)  # (23) who loses its parent becomes ours
    calls.prctl(abi.PR_SET_DUMPABLE, 0)  # (15)
    tell(channel, {"kind": "network", "names": [], "level": "proxy" if plan.proxy_port else "none"})
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        channel.close()
        os.close(report_read)
        start(plan, streams, filters, report_write)
    os.close(report_write)
    for descriptor in streams:
        os.close(descriptor)
    for line in payload.lines(report_read, child):
        tell(channel, line)
        if line["kind"] == "failed":
            return 125
    os.close(report_read)
    tell(channel, {"kind": "started"})
    return supervise(plan, channel, child, end)


def start(plan: InPlace, streams: list[int], filters: tuple[bytes, bytes], report: int) -> None:
    """Confine this process and become the program; never returns. `report` closes with the exec."""
    name = "keeper"
    try:
        calls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)  # (23)
        os.setsid()  # (13)
        with contextlib.suppress(calls.SyscallFailed):
            calls.join_new_session_keyring()  # (13) a container may refuse; our own filter does then
        os.umask(0o077)  # what it makes outside of its tree, by descriptor, is nobody else's
        payload.default_signals()
        privileges.leave_no_cores()  # (10)
        privileges.drop_capabilities()  # (9)
        privileges.no_new_privileges()  # (8)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number, inheritable=True)
        privileges.limit(plan.open_files, plan.file_bytes, plan.processes)  # (10)
        os.chdir(plan.cwd)
        version = landlock.restrict_in_place(plan.readable, plan.writable, plan.proxy_port)  # (11)
        for program in filters:
            seccomp.install(program)  # (12)
        os.umask(0o022)
        name = "execve"
        file = payload.find(plan.argv[0], plan.env.get("PATH", ""))
        facts = {**payload.standing(), "limits": privileges.held_limits()}
        payload.tell(report, {"kind": "confined", "landlock": version, **facts})
        payload.close_all_but_streams_and(report)  # (14)
        environment = {os.fsencode(k): os.fsencode(v) for k, v in plan.env.items()}
        os.execve(file, plan.argv, environment)  # (15)
    except (OSError, PlanRefused) as error:
        call = getattr(error, "call", name)
        detail = (
            f"{plan.argv[0]}: {getattr(error, 'strerror', error)}"
            if call == "execve"
            else str(error)
        )
        payload.tell(report, {"kind": "failed", "call": call, "detail": detail})
    finally:
        os._exit(127)


def end_descendants(*, alone: bool) -> None:
    """Kill all that came of this process, wherever it went, and wait until there is nothing.

    When `alone`, all that it may signal is that, and kill(-1) reaches it at once: who forks
    meanwhile takes the signal along. Otherwise who forks faster than this kills is held by the
    number of processes it may have.
    """
    while True:
        if alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        else:
            kill_trees(children(os.getpid()))
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def kill_trees(pids: "Iterable[int]") -> None:
    """Kill processes, and what descends from them as far as it can be seen."""
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        waiting += children(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Give the children of a process, [] when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # any thread may have forked
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    return found


def _join(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"0")  # cgroups(7): 0 is the writer itself
    finally:
        os.close(descriptor)
