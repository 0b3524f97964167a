"""Giving up every right that the program inside must not have."""

import contextlib
import os
import resource

from cloche_launch import abi, calls


def become(uid: int, gid: int) -> None:
    """Take the sandbox's own user and group, and no other group where the kernel lets us."""
    with contextlib.suppress(PermissionError):
        # An unprivileged user namespace may not drop groups (user_namespaces(7)): they stay, unmapped.
        os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def empty_bounding_set() -> None:
    """Take away what an exec could give back; for this process and all it starts. capabilities(7)."""
    for capability in range(abi.CAP_LAST + 1):
        try:
            calls.prctl(abi.PR_CAPBSET_DROP, capability)
        except calls.SyscallFailed:
            break  # EINVAL: beyond the kernel's last capability


def drop_capabilities() -> None:
    """Empty the ambient and process sets: with an empty bounding set, none can come back."""
    calls.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_CLEAR_ALL)
    calls.capset_empty()


def no_new_privileges() -> None:
    """Make setuid files and file capabilities powerless, for this process and all it starts."""
    calls.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)


def limit(open_files: int, file_bytes: int, processes: int) -> None:
    """Set the resource limits. Never RLIMIT_AS: V8 and wasm reserve address space they do not use."""
    resource.setrlimit(resource.RLIMIT_NOFILE, _within(resource.RLIMIT_NOFILE, open_files))
    resource.setrlimit(resource.RLIMIT_FSIZE, _within(resource.RLIMIT_FSIZE, file_bytes))
    # Counted in this user namespace alone (Linux 5.14), so that no other sandbox's count; one for init.
    resource.setrlimit(resource.RLIMIT_NPROC, _within(resource.RLIMIT_NPROC, processes + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, _within(resource.RLIMIT_MEMLOCK, 8 << 20))
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))


def _within(which: int, wanted: int) -> tuple[int, int]:
    """Give both limits as `wanted`, or as the hard limit where that is lower."""
    hard = resource.getrlimit(which)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    return value, value
