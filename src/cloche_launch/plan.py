"""The plan document as the launcher reads it: strict, since a field not understood is a barrier not put up."""

import json
import os

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from typing import Any

VERSION = 3


class PlanRefused(ValueError):
    """The document is not one this launcher was made for."""


class Ground:
    """What can stand before the program is known: attributes are the document's keys."""

    group: str
    host_gid: int
    host_uid: int
    inside_gid: int
    inside_uid: int
    mounts: "list[dict[str, Any]]"
    observed: bool
    tasks_files: list[str]


class LaunchPlan:
    """One program to start on a ground: attributes are the document's keys."""

    argv: list[str]
    canary: str
    cwd: str
    env: dict[str, str]
    file_bytes: int
    host_pid: int
    inbound: bool
    insists: list[str]
    landlock: bool
    mirror: bool
    mounts: "list[dict[str, Any]]"
    open_files: int
    processes: int
    writable: list[str]


class InPlace:
    """One program to start among the host's own: attributes are the document's keys."""

    argv: list[str]
    cwd: str
    env: dict[str, str]
    file_bytes: int
    open_files: int
    processes: int
    procs_files: list[str]
    proxy_port: int
    readable: list[str]
    writable: list[str]
    inbound = False
    mirror = False


_GROUND = {
    "group": str,
    "host_gid": int,
    "host_uid": int,
    "inside_gid": int,
    "inside_uid": int,
    "mounts": list,
    "observed": bool,
    "tasks_files": list,
}
_PLAN = {
    "argv": list,
    "canary": str,
    "cwd": str,
    "env": dict,
    "file_bytes": int,
    "host_pid": int,
    "inbound": bool,
    "insists": list,
    "landlock": bool,
    "mirror": bool,
    "mounts": list,
    "open_files": int,
    "processes": int,
    "writable": list,
}

_IN_PLACE = {
    "argv": list,
    "cwd": str,
    "env": dict,
    "file_bytes": int,
    "open_files": int,
    "processes": int,
    "procs_files": list,
    "proxy_port": int,
    "readable": list,
    "writable": list,
}

OPERATIONS: dict[str, dict[str, type]] = {
    "bind": {"source": str, "target": str, "writable": bool, "optional": bool, "of_user": bool},
    "overlay": {"lowers": list, "upper": str, "work": str, "target": str, "identity": list},
    "tmpfs": {"target": str, "size_bytes": int, "inodes": int, "mode": int},
    "file": {"target": str, "content": str},
    "link": {"target": str, "to": str},
    "masked": {"target": str},
    "proc": {"target": str},
    "dev": {"target": str, "shm_bytes": int},
}


def decode_ground(descriptor: int) -> Ground:
    """Read a ground from its file; raise PlanRefused for anything missing, unknown or of another type."""
    ground = Ground()
    for name, value in _fields(descriptor, _GROUND).items():
        setattr(ground, name, value)
    return ground


def decode(descriptor: int) -> LaunchPlan:
    """Read a plan from its file; raise PlanRefused for anything missing, unknown or of another type."""
    plan = LaunchPlan()
    for name, value in _fields(descriptor, _PLAN).items():
        setattr(plan, name, value)
    return plan


def decode_in_place(descriptor: int) -> InPlace:
    """Read a plan without a root; raise PlanRefused for anything missing, unknown or of another type."""
    plan = InPlace()
    for name, value in _fields(descriptor, _IN_PLACE).items():
        setattr(plan, name, value)
    return plan


def specimen() -> bytes:
    """Give a plan that says nothing and can be read."""
    return json.dumps(
        {name: kind() for name, kind in _PLAN.items()} | {"version": VERSION}
    ).encode()


def _fields(descriptor: int, types: dict[str, type]) -> "dict[str, Any]":
    try:
        fields = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    except (ValueError, RecursionError) as error:
        raise PlanRefused("the document is not JSON") from error
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
        raise PlanRefused("the document is of another version")
    _check(fields, types, "plan")
    for operation in fields.get("mounts", ()):
        _check_operation(operation)
    return fields


def _check_operation(operation: "Any") -> None:
    kind = operation.get("kind") if type(operation) is dict else None
    if type(kind) is not str or kind not in OPERATIONS:
        raise PlanRefused(f"unknown mount operation {str(operation)[:80]}")
    rest = {key: value for key, value in operation.items() if key != "kind"}
    _check(rest, OPERATIONS[kind], kind)
    target = operation["target"]
    if not target.startswith("/") or ".." in target.split("/"):
        raise PlanRefused(f"mount target {target!r} is not absolute")


def _check(fields: "dict[str, Any]", types: dict[str, type], what: str) -> None:
    if set(fields) != set(types):
        odd = sorted(set(fields) ^ set(types))
        raise PlanRefused(f"{what}: keys missing or unknown: {', '.join(odd)}")
    for name, kind in types.items():
        if type(fields[name]) is not kind:
            raise PlanRefused(f"{what}: {name} is not {kind.__name__}")
        if not _holds_texts(name, fields[name]):
            raise PlanRefused(f"{what}: {name} holds what is not text")


def _holds_texts(name: str, value: "Any") -> bool:
    if type(value) is dict:
        return all(type(each) is str for each in value.values())
    return type(value) is not list or name == "mounts" or all(type(each) is str for each in value)
