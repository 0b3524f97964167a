"""The last process before the program: the inner barriers, one a line, then exec."""

import errno
import json
import os

from cloche_launch import calls, landlock, privileges, seccomp
from cloche_launch.plan import LaunchPlan

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from typing import Any


def start(plan: LaunchPlan, stdio: list[int], seccomp_program: bytes, report: int) -> None:
    """Confine this process and become the program; never returns. `report` closes with the exec."""
    try:
        environment = {os.fsencode(k): os.fsencode(v) for k, v in plan.env.items()}
        abi = confine(plan, stdio, report)
        _tell(report, {"kind": "confined", "landlock": abi})
        program = _find(plan.argv[0], plan.env.get("PATH", ""))
        seccomp.install(seccomp_program)  # (12) last: it forbids what the lines above needed
        os.execve(program, plan.argv, environment)  # (15) nothing of ours is in its environment
    except OSError as error:
        name = getattr(error, "call", "execve")
        detail = f"{plan.argv[0]}: {error}" if name == "execve" else str(error)
        _tell(report, {"kind": "failed", "call": name, "detail": detail})
    finally:
        os._exit(127)


def confine(plan: LaunchPlan, stdio: list[int], report: int) -> int:
    """Put up the inner barriers; the Landlock ABI in force. Order is load-bearing: docs/threat-model.md."""
    os.setsid()  # (13) no terminal of the user's, so none to type into
    calls.join_new_session_keyring()  # (13)
    kept = _place(stdio, report)  # (14) three standard streams and the report pipe, nothing else
    privileges.limit(plan.open_files, plan.file_bytes, plan.processes)  # (10)
    os.umask(0o022)
    os.chdir(plan.cwd)
    privileges.drop_capabilities()  # (9)
    privileges.no_new_privileges()  # (8)
    abi = landlock.restrict(plan.writable) if plan.landlock else 0  # (11)
    del kept
    return abi


def _place(stdio: list[int], report: int) -> int:
    """Put the streams at 0, 1, 2 and close everything but `report`."""
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number, inheritable=True)
    calls.close_range(3, report - 1)
    calls.close_range(report + 1, 0xFFFF_FFFF)
    return report


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
