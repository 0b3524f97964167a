"""The host's files that a sandbox is shown, opened with the caller's own rights.

Started by root, the program inside is another user of the host. What belongs
to the user is then shown through an idmapped mount (Linux 5.12; overlay layers
5.19): inside it is the program's own, on disk it stays the owner's.
"""

import errno
import os

from cloche_launch import abi, calls

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    class Namespaces(Protocol):
        """Knows user namespaces that hold nothing but a mapping."""

        def get(self, owner: tuple[int, int], host_uid: int, host_gid: int) -> int:
            """Give a descriptor of the namespace that shows `owner`'s files as `host_uid`'s."""


DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class Sources:
    """Detached mounts for one sandbox: a list for each host path, one for each use of it.

    Opened outside by root (only it may map owners): by the zygote for a ground,
    by the kernel for a plan. Otherwise by init, whose own copy of the mounts is
    the only one that an ordinary user may clone.
    """

    __slots__ = ("_mapper", "_trees")

    def __init__(self, operations: "list[dict[str, Any]]", mapper: "Mapper | None" = None) -> None:
        self._mapper = mapper
        self._trees: dict[str, list[int]] = {}
        try:
            for path, mapped, optional in shown(operations):
                self._open(path, mapped=mapped, optional=optional)
            for operation in operations:
                if operation["kind"] == "overlay":
                    self._insist(operation["lowers"][-1], operation["identity"])
        except BaseException:
            self.close()
            raise

    @classmethod
    def received(cls, names: list[str], trees: list[int]) -> "Sources":
        """Take what another process's `listed` gave, after its way through a socket."""
        sources = cls([])
        for name, tree in zip(names, trees, strict=True):
            sources._trees.setdefault(name, []).append(tree)
        return sources

    def listed(self) -> "tuple[list[str], list[int]]":
        """Give (paths, descriptors), pairwise; they stay ours to close."""
        pairs = [(name, tree) for name, trees in self._trees.items() for tree in trees]
        return [name for name, _ in pairs], [tree for _, tree in pairs]

    def has(self, path: str) -> bool:
        """Tell whether a descriptor for `path` is left; an optional source may not be there."""
        return bool(self._trees.get(path))

    def take(self, path: str) -> int:
        """Give the next descriptor for `path`; the taker closes it."""
        return self._trees[path].pop()

    def close(self) -> None:
        """Close what was not taken."""
        for trees in self._trees.values():
            for tree in trees:
                os.close(tree)
        self._trees = {}

    def _insist(self, path: str, identity: list[str]) -> None:
        """Refuse another directory than the host has open: its name may lead elsewhere by now."""
        found = os.fstat(self._trees[path][-1])
        if identity and [str(found.st_dev), str(found.st_ino)] != identity:
            raise OSError(errno.ESTALE, "it is another directory than it was", path)

    def _open(self, path: str, *, mapped: bool, optional: bool) -> None:
        try:
            tree = calls.open_tree(path)
        except calls.SyscallFailed as error:
            if optional and error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        self._trees.setdefault(path, []).append(tree)
        if mapped and self._mapper is not None:
            self._mapper.show_as_program(tree)


def shown(operations: "list[dict[str, Any]]") -> "Iterator[tuple[str, bool, bool]]":
    """Yield (path, whether it is shown as the program's own, whether it may be missing) of each source."""
    for operation in operations:
        if operation["kind"] == "bind":
            mapped = operation["of_user"] or operation["writable"]
            yield operation["source"], mapped, operation["optional"]
        elif operation["kind"] == "overlay":
            for path in (*operation["lowers"], above(operation)):
                yield path, True, False
        elif operation["kind"] == "dev":
            for name in DEVICES:
                yield f"/dev/{name}", False, False


def above(operation: "dict[str, Any]") -> str:
    """Give the directory that is cloned for an overlay: its upper and its work must lie on one mount."""
    upper: str = operation["upper"]
    return os.path.commonpath((upper, operation["work"]))


class Mapper:
    """Shows what belongs to a user of the host as the program's own, in one sandbox."""

    __slots__ = ("_gid", "_namespaces", "_uid")

    def __init__(self, namespaces: "Namespaces", host_uid: int, host_gid: int) -> None:
        self._namespaces = namespaces
        self._uid = host_uid
        self._gid = host_gid

    def show_as_program(self, tree: int) -> None:
        """Map the owner of the tree's top to the program's user. mount_setattr(2), Linux 5.12."""
        status = os.stat(tree)
        owner = (status.st_uid, status.st_gid)
        namespace = self._namespaces.get(owner, self._uid, self._gid)
        calls.mount_setattr(tree, abi.MOUNT_ATTR_IDMAP, namespace)


class MappingNamespaces:
    """User namespaces that hold nothing but a mapping: kept, since each costs a process to make."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[int, int], int, int], int] = {}

    def get(self, owner: tuple[int, int], host_uid: int, host_gid: int) -> int:
        """Give a descriptor of the namespace that shows `owner`'s files as `host_uid`'s."""
        key = (owner, host_uid, host_gid)
        if key not in self._known:
            if len(self._known) >= 256:
                os.close(self._known.pop(next(iter(self._known))))
            self._known[key] = _make(owner, host_uid, host_gid)
        return self._known[key]


def _make(owner: tuple[int, int], host_uid: int, host_gid: int) -> int:
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


def write_map(pid: int, name: str, inside: int, outside: int) -> None:
    """Write a one-line mapping of user_namespaces(7)."""
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"{inside} {outside} 1\n".encode())
    finally:
        os.close(descriptor)
