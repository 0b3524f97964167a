"""A sandbox plan as the two documents the launcher reads; a test pairs this with its decoder."""

import json
from collections.abc import Sequence
from typing import Any

from cloche.sandbox.ground import Ground
from cloche.sandbox.in_place import InPlacePlan
from cloche.sandbox.mounts import (
    BindReadOnly,
    BindWritable,
    Dev,
    FileContent,
    Masked,
    MountOp,
    Overlay,
    Proc,
    SymbolicLink,
    Tmpfs,
)
from cloche.sandbox.plan import INSIDE_GID, INSIDE_UID, SandboxPlan

VERSION = 3


def encode_ground(
    ground: Ground, *, host_uid: int, host_gid: int, group: str, tasks_files: tuple[str, ...]
) -> bytes:
    """Give the document of a sandbox's ground, with what only the platform knows."""
    return _document(
        {
            "group": group,
            "host_gid": host_gid,
            "host_uid": host_uid,
            "inside_gid": INSIDE_GID,
            "inside_uid": INSIDE_UID,
            "mounts": describe(ground.mounts),
            "observed": ground.observed,
            "tasks_files": list(tasks_files),
        }
    )


def encode(
    plan: SandboxPlan,
    rest: tuple[MountOp, ...],
    *,
    landlock: bool,
    host_pid: int,
    insists: tuple[str, ...],
) -> bytes:
    """Give the document of `plan`, of whose mounts `rest` are not in the ground.

    `host_pid` is a process that must not be seen inside; without the trials
    that `insists` names held, the program is not started.
    """
    return _document(
        {
            "argv": list(plan.argv),
            "canary": plan.canary,
            "cwd": plan.cwd,
            "env": dict(plan.env),
            "file_bytes": plan.limits.file_bytes,
            "host_pid": host_pid,
            "inbound": plan.network.inbound,
            "insists": list(insists),
            "landlock": landlock,
            "mirror": plan.mirror,
            "mounts": describe(rest),
            "open_files": plan.limits.open_files,
            "processes": plan.limits.processes,
            "writable": list(plan.writable),
        }
    )


def encode_in_place(
    plan: InPlacePlan, *, readable: Sequence[str], processes: int, procs_files: Sequence[str]
) -> bytes:
    """Give the document of a plan without a root, with what only the platform knows."""
    return _document(
        {
            "argv": list(plan.argv),
            "cwd": plan.cwd,
            "env": dict(plan.env),
            "file_bytes": plan.limits.file_bytes,
            "open_files": plan.limits.open_files,
            "processes": processes,
            "procs_files": list(procs_files),
            "proxy_port": plan.proxy_port,
            "readable": list(readable),
            "writable": list(plan.writable),
        }
    )


def describe(operations: tuple[MountOp, ...]) -> list[dict[str, Any]]:  # Any: JSON
    """Give mount operations in the launcher's words."""
    return [_operation(operation) for operation in operations]


def _document(fields: dict[str, Any]) -> bytes:  # Any: JSON
    fields["version"] = VERSION
    text = json.dumps(fields, separators=(",", ":"))
    return text.encode("utf-8", "surrogateescape")


def _operation(operation: MountOp) -> dict[str, Any]:  # Any: JSON
    match operation:
        case BindReadOnly(source=source, target=target, optional=optional, of_user=of_user):
            return _bind(source, target, writable=False, optional=optional, of_user=of_user)
        case BindWritable(source=source, target=target):
            return _bind(source, target, writable=True, optional=False, of_user=True)
        case Overlay(lowers=lowers, upper=upper, work=work, target=target, identity=identity):
            return {
                "kind": "overlay",
                "lowers": list(lowers),
                "upper": upper,
                "work": work,
                "target": target,
                "identity": [str(number) for number in identity],  # a list holds texts
            }
        case Tmpfs(target=target, size_bytes=size, inodes=inodes, mode=mode):
            return {
                "kind": "tmpfs",
                "target": target,
                "size_bytes": size,
                "inodes": inodes,
                "mode": mode,
            }
        case FileContent(target=target, content=content):
            return {"kind": "file", "target": target, "content": content.decode()}
        case SymbolicLink(target=target, to=to):
            return {"kind": "link", "target": target, "to": to}
        case Masked(target=target):
            return {"kind": "masked", "target": target}
        case Proc(target=target):
            return {"kind": "proc", "target": target}
        case Dev(target=target, shm_bytes=shm_bytes):
            return {"kind": "dev", "target": target, "shm_bytes": shm_bytes}


def _bind(
    source: str, target: str, *, writable: bool, optional: bool, of_user: bool
) -> dict[str, Any]:  # Any: JSON
    return {
        "kind": "bind",
        "source": source,
        "target": target,
        "writable": writable,
        "optional": optional,
        "of_user": of_user,
    }
