"""The host's files that a sandbox is shown, opened by the zygote with the caller's own rights.

Started by root, the program inside is another user of the host. What belongs
to the user is then shown through an idmapped mount (Linux 5.12; overlay layers
5.19): inside it is the program's own, on disk it stays the owner's.
"""

import errno
import os

from cloche_launch import abi, calls

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class Sources:
    """Detached mounts for one sandbox: a list for each host path, one for each use of it.

    Opened by the zygote when that is root (only it may map owners), else by
    init, whose own copy of the mounts is the only one it may clone.
    """

    __slots__ = ("_namespaces", "_plan", "_trees")

    def __init__(self, plan, namespaces=None):
        self._plan = plan
        self._namespaces = namespaces
        self._trees = {}
        for operation in plan.mounts:
            if operation["kind"] == "bind":
                mapped = operation["of_user"] or operation["writable"]
                self._open(operation["source"], mapped, operation["optional"])
            elif operation["kind"] == "overlay":
                # Upper and work must lie on one mount, so their parent is what is cloned.
                for path in (*operation["lowers"], os.path.dirname(operation["upper"])):
                    self._open(path, True, False)
            elif operation["kind"] == "dev":
                for name in DEVICES:
                    self._open(f"/dev/{name}", False, False)

    def take(self, path):
        """Give the next descriptor for `path`, or None when an optional source is not there."""
        return self._trees[path].pop() if self._trees.get(path) else None

    def close(self):
        """Close what was not taken."""
        for trees in self._trees.values():
            for tree in trees:
                os.close(tree)
        self._trees = {}

    def _open(self, path, mapped, optional):
        try:
            tree = calls.open_tree(path)
        except calls.SyscallFailed as error:
            if optional and error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        self._trees.setdefault(path, []).append(tree)
        if mapped and self._namespaces is not None:
            status = os.stat(tree)
            owner = (status.st_uid, status.st_gid)
            namespace = self._namespaces.get(owner, self._plan.host_uid, self._plan.host_gid)
            calls.mount_setattr(tree, abi.MOUNT_ATTR_IDMAP, namespace)


class MappingNamespaces:
    """User namespaces that hold nothing but a mapping: kept, since each costs a process to make."""

    __slots__ = ("_known",)

    def __init__(self):
        self._known = {}

    def get(self, owner, host_uid, host_gid):
        """Give a descriptor of the namespace that shows `owner`'s files as `host_uid`'s."""
        key = (owner, host_uid, host_gid)
        if key not in self._known:
            if len(self._known) >= 256:
                os.close(self._known.pop(next(iter(self._known))))
            self._known[key] = _make(owner, host_uid, host_gid)
        return self._known[key]


def _make(owner, host_uid, host_gid):
    gate_read, gate_write = os.pipe()
    pid, pidfd = calls.clone3(abi.CLONE_NEWUSER)
    if pid == 0:
        os.close(gate_write)
        os.read(gate_read, 1)
        os._exit(0)
    try:
        os.close(gate_read)
        write_map(pid, "uid_map", owner[0], host_uid)
        write_map(pid, "gid_map", owner[1], host_gid)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(gate_write)
        os.waitpid(pid, 0)
        os.close(pidfd)


def write_map(pid, name, inside, outside):
    """Write a one-line mapping of user_namespaces(7)."""
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"{inside} {outside} 1\n".encode())
    finally:
        os.close(descriptor)
