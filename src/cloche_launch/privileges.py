"""Giving up every right that the program inside must not have."""

import contextlib
import os
import resource

from cloche_launch import abi, calls

# Of this user namespace, of the host, and which part of the host's the sandbox gets.
_COUNTS = (
    ("max_inotify_instances", "fs/inotify/max_user_instances", 4),
    ("max_inotify_watches", "fs/inotify/max_user_watches", 2),
)


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


def leave_no_cores() -> None:
    """Keep cores from the disk and from the host; before the filter, which lets nobody set this again.

    1, not 0: where core_pattern names a program, a core goes to it whatever the
    limit, and it is the host's root that reads it, out of reach of every limit
    here. 1 alone is refused (fs/coredump.c).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def limit(open_files: int, file_bytes: int, processes: int) -> None:
    """Set the resource limits. Never RLIMIT_AS: V8 and wasm reserve address space they do not use."""
    resource.setrlimit(resource.RLIMIT_NOFILE, _within(resource.RLIMIT_NOFILE, open_files))
    resource.setrlimit(resource.RLIMIT_FSIZE, _within(resource.RLIMIT_FSIZE, file_bytes))
    # Counted in this user namespace alone (Linux 5.14), so that no other sandbox's count; one for init.
    resource.setrlimit(resource.RLIMIT_NPROC, _within(resource.RLIMIT_NPROC, processes + 1))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, _within(resource.RLIMIT_MEMLOCK, 8 << 20))
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    resource.setrlimit(resource.RLIMIT_SIGPENDING, _within(resource.RLIMIT_SIGPENDING, 8_192))


def held_limits() -> "dict[str, int]":
    """Read the ceilings back, -1 for none. getrlimit(2): what a program can give itself at most."""
    names = ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE")
    return {name: resource.getrlimit(getattr(resource, name))[1] for name in names}


def share_counts() -> None:
    """Leave the user's other programs their part of what the kernel counts for each user of the host.

    What a sandbox takes is counted for its owner as well (user_namespaces(7)):
    with all 128 inotify instances taken inside, no editor outside gets one.
    Needs the rights over the own user namespace; where /proc/sys cannot be
    written, as in some containers, the counts stay the owner's.
    """
    for name, host, share in _COUNTS:
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/sys/{host}", encoding="ascii") as file:
                most = int(file.read()) // share
            with open(f"/proc/sys/user/{name}", "w", encoding="ascii") as file:
                file.write(str(most))


def _within(which: int, wanted: int) -> tuple[int, int]:
    """Give both limits as `wanted`, or as the hard limit where that is lower."""
    hard = resource.getrlimit(which)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    return value, value
