"""The last process before the program: the inner barriers, one a line, then exec."""

import errno
import json
import os
import socket
import stat

from cloche_launch import calls, landlock, message, privileges, seccomp
from cloche_launch.plan import PlanRefused, decode

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from typing import Any

_TELLING = ("NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def start(orders: socket.socket, root: int, seccomp_program: bytes, report: int) -> None:
    """Confine this process and become the program; never returns. `report` closes with the exec.

    `root` is the top of the new root, which is not yet the root.
    """
    name, what = "payload", ""
    try:
        confine(seccomp_program)
        ruleset = landlock.Ruleset(root)
        document, *stdio = _await(orders, "launch")
        plan = decode(document)
        what = plan.argv[0]
        for number, descriptor in enumerate(stdio):
            os.dup2(descriptor, number, inheritable=True)
        privileges.limit(plan.open_files, plan.file_bytes, plan.processes)  # (10)
        _await(orders, "rooted")
        open_null_anew()
        os.chdir(plan.cwd)
        abi = ruleset.restrict(plan.writable) if plan.landlock else 0  # (11)
        environment = {os.fsencode(k): os.fsencode(v) for k, v in plan.env.items()}
        name = "execve"
        program = _find(plan.argv[0], plan.env.get("PATH", ""))
        _tell(report, {"kind": "confined", "landlock": abi, **standing()})
        _await(orders, "go")
        close_all_but_streams_and(report)  # (14)
        os.execve(program, plan.argv, environment)  # (15) nothing of ours is in its environment
    except (OSError, PlanRefused) as error:
        call = getattr(error, "call", name)
        detail = f"{what}: {getattr(error, 'strerror', error)}" if call == "execve" else str(error)
        _tell(report, {"kind": "failed", "call": call, "detail": detail})
    finally:
        os._exit(127)


def confine(seccomp_program: bytes) -> None:
    """Put up the inner barriers that no plan changes. Order is load-bearing: docs/threat-model.md."""
    os.setsid()  # (13) no terminal of the user's, so none to type into
    calls.join_new_session_keyring()  # (13)
    os.umask(0o022)
    privileges.leave_no_cores()  # (10)
    privileges.drop_capabilities()  # (9)
    privileges.no_new_privileges()  # (8)
    seccomp.install(seccomp_program)  # (12) what is left to do is what any program may do


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


def _find(name: str, path: str) -> str:
    """Find a program as a shell would; the last refusal is the one reported."""
    if "/" in name:
        return name
    refusal = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for directory in path.split(":"):
        candidate = f"{directory}/{name}"
        if os.access(candidate, os.X_OK):
            return candidate
    raise refusal


def _tell(report: int, fields: "dict[str, Any]") -> None:
    os.write(report, json.dumps(fields).encode() + b"\n")
