"""The last process before the program: the inner barriers, one a line, then exec."""

import errno
import json
import os
import select
import signal
import socket
import stat

from cloche_launch import calls, landlock, message, privileges, seccomp, trials
from cloche_launch.plan import LaunchPlan, PlanRefused, decode
from cloche_launch.rehearsal import rehearse

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_LOOK_MILLISECONDS = 100
_LEAST_FOR_TWO = 3  # init, this process, and the program beside it
_TELLING = ("NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def start(orders: socket.socket, root: int, seccomp_program: bytes, report: int) -> None:
    """Confine this process and let it become the program; never returns. `report` closes at its end.

    `root` is the top of the new root, which is not yet the root.
    """
    name, what = "payload", ""
    try:
        confine(seccomp_program)
        outside = trials.Outside(root, report)
        tried = trials.try_stage("ground", outside)
        ruleset = landlock.Ruleset(root)
        facts = standing()  # nothing of it can be had back: what comes now only adds
        rehearse()
        document, *stdio = _await(orders, "launch")
        plan = decode(document)
        what = plan.argv[0]
        for number, descriptor in enumerate(stdio):
            os.dup2(descriptor, number, inheritable=True)
        privileges.limit(plan.open_files, plan.file_bytes, plan.processes)  # (10)
        facts["limits"] = privileges.held_limits()
        _await(orders, "rooted")
        open_null_anew()
        os.chdir(plan.cwd)
        abi = ruleset.restrict(plan.writable) if plan.landlock else 0  # (11)
        outside.canary, outside.pid = plan.canary, plan.host_pid
        tried += trials.try_stage("rooted", outside)
        environment = {os.fsencode(k): os.fsencode(v) for k, v in plan.env.items()}
        name = "execve"
        program = find(plan.argv[0], plan.env.get("PATH", ""))
        _await(orders, "go")
        close_all_but_streams_and(report)  # (14)
        tried += trials.try_stage("last", outside)
        tell(report, {"kind": "confined", "landlock": abi, "trials": tried, **facts})
        for trial, verdict, detail in tried:
            if verdict == trials.NOT_HELD and trial in plan.insists:
                tell(report, {"kind": "failed", "call": "trial", "trial": trial, "detail": detail})
                return
        _become(program, plan, environment, report)
    except (OSError, PlanRefused) as error:
        call = getattr(error, "call", name)
        detail = f"{what}: {getattr(error, 'strerror', error)}" if call == "execve" else str(error)
        tell(report, {"kind": "failed", "call": call, "detail": detail})
    finally:
        os._exit(127)


def confine(seccomp_program: bytes) -> None:
    """Put up the inner barriers that no plan changes. Order is load-bearing: docs/threat-model.md."""
    calls.join_new_session_keyring()  # (13)
    os.umask(0o022)
    default_signals()
    privileges.leave_no_cores()  # (10)
    privileges.drop_capabilities()  # (9)
    privileges.no_new_privileges()  # (8)
    seccomp.install(seccomp_program)  # (12) what is left to do is what any program may do


def default_signals() -> None:
    """Take back what Python ignores: an exec would keep that."""
    for ignored in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)


def _become(program: str, plan: LaunchPlan, environment: dict[bytes, bytes], report: int) -> None:
    """Start the program in a session of its own, (13), with nothing of ours in its environment, (15).

    An exec in this process would first take down an address space of Python's,
    1 ms on some machines. A child that shares it until the exec (vfork(2)) has
    every barrier of its parent, and the parent then ends beside the program.
    """
    if plan.processes < _LEAST_FOR_TWO:
        os.setsid()
        os.execve(program, plan.argv, environment)
    pid = os.posix_spawn(program, plan.argv, environment, setsid=True)
    tell(report, {"kind": "spawned", "pid": pid})
    os._exit(0)


def standing() -> "dict[str, Any]":
    """Read back from the kernel what stands around this process: proc_pid_status(5), namespaces(7)."""
    status = {}
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in _TELLING:
                status[key] = value.strip()
    names = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    return {
        "credentials": status,
        "namespaces": {n: os.readlink(f"/proc/self/ns/{n}") for n in names},
    }


def open_null_anew() -> None:
    """Put the sandbox's own, read-only /dev/null in place of the host's, of which a descriptor sets the times."""
    if stat.S_ISCHR(os.fstat(0).st_mode):
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(null, 0, inheritable=True)
        os.close(null)


def close_all_but_streams_and(report: int) -> None:
    """Close what the program must not inherit; `report` closes with the exec."""
    calls.close_range(3, report - 1)
    calls.close_range(report + 1, 0xFFFF_FFFF)


def _await(orders: socket.socket, kind: str) -> list[int]:
    """Wait for init's next word; without it the sandbox is not complete, and nothing runs."""
    fields, descriptors = message.receive(orders)
    if fields is None or fields["kind"] != kind:
        os._exit(125)
    return descriptors


def lines(descriptor: int, child: int) -> "Iterator[dict[str, Any]]":
    """Yield what `child` reports until its exec or its end closes the pipe."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    text = b""
    while True:
        while not poll.poll(_LOOK_MILLISECONDS):
            _end_if_stopped(child)
        block = os.read(descriptor, 65_536)
        if not block:
            return
        *whole, text = (text + block).split(b"\n")
        for line in whole:
            yield json.loads(line)


def _end_if_stopped(child: int) -> None:
    """Kill a process that a program stopped before it could tell of the program. waitid(2).

    They are one user's, so it may; nobody's clock runs before we have heard.
    """
    flags = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
    if os.waitid(os.P_PID, child, flags) is not None:
        os.kill(child, signal.SIGKILL)


def find(name: str, path: str) -> str:
    """Find a program as a shell would; the last refusal is the one reported."""
    if "/" in name:
        return name
    refusal = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for directory in path.split(":"):
        candidate = f"{directory}/{name}"
        if os.access(candidate, os.X_OK):
            return candidate
    raise refusal


def tell(report: int, fields: "dict[str, Any]") -> None:
    """Tell whoever started this process, in one line."""
    os.write(report, json.dumps(fields).encode() + b"\n")
