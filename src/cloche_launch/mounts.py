"""Carry out the mount operations in a new root, and make it the only one."""

import contextlib
import errno
import os
import stat

from cloche_launch import abi, calls, veil
from cloche_launch.sources import DEVICES, Sources, above

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from typing import Any

# Covered by our own tmpfs, in our own mount namespace. Nothing of it is ever shown to a sandbox: what
# lies below the cover cannot be opened any more, and an ordinary user's sources are opened after it.
_BASE = "/sys"
# Host-wide switches and views: read-only or hidden, also for one who could write them by owner.
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs")
_PROC_MASKED = (
    "kcore",
    "keys",
    "key-users",
    "timer_list",
    "sched_debug",
    "kmsg",
    "kallsyms",
    "acpi",
    "scsi",
    "latency_stats",
    "interrupts",
    "modules",
    "config.gz",
    "pagetypeinfo",
    "slabinfo",
    "vmallocinfo",
)
_SAFE = abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NODEV
_ONLY_DEVICES = abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NOEXEC


class Root:
    """The new root while it is being built."""

    __slots__ = ("_layers", "_made", "_points", "_sources", "place", "shared")

    def __init__(self) -> None:
        self.shared: list[str] = []
        """What is shown as the host's own inodes, because it could not be covered."""
        self._layers = 0
        self._points = veil.mount_points()
        self._made: set[str] = {"/"}
        calls.mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)
        calls.mount("tmpfs", _BASE, "tmpfs", abi.MS_NOSUID | abi.MS_NODEV, "mode=0755,size=16m")
        self.place = f"{_BASE}/root"
        os.mkdir(self.place, 0o755)
        os.mkdir(f"{_BASE}/layers", 0o700)
        os.mkdir(f"{_BASE}/nothing", 0o755)
        os.close(os.open(f"{_BASE}/empty", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0))
        # pivot_root wants a mount point of its own
        calls.mount(
            "tmpfs", self.place, "tmpfs", abi.MS_NOSUID | abi.MS_NODEV, "mode=0755,size=16m"
        )

    def apply(self, operations: "list[dict[str, Any]]", sources: Sources) -> None:
        """Do operations in their order, with what `sources` opened for them; closes `sources`."""
        self._sources = sources
        for operation in operations:
            _APPLY[operation["kind"]](self, operation)
        sources.close()

    def enter(self) -> None:
        """Make the new root the root of every process here. pivot_root(2), the "." form."""
        os.chdir(self.place)
        calls.pivot_root(".", ".")

    def leave_old(self) -> None:
        """Detach the old root, after which the new one is the only one, and read-only."""
        calls.unmount_detached(".")
        os.chdir("/")
        flags = abi.MS_REMOUNT | abi.MS_BIND | abi.MS_RDONLY | abi.MS_NOSUID | abi.MS_NODEV
        calls.mount(None, "/", None, flags)

    def _at(self, target: str) -> str:
        return self.place + target

    def _directory(self, target: str, mode: int = 0o755) -> str:
        """Make a directory of the new root, with those above it; give its place. Each is made once."""
        place = self._at(target)
        if target not in self._made:
            self._directory(os.path.dirname(target))
            with contextlib.suppress(
                FileExistsError
            ):  # it may be a directory of a tree that is shown
                os.mkdir(place, mode)
            self._made.add(target)
        return place

    def _bind(self, operation: "dict[str, Any]") -> None:
        if not self._sources.has(operation["source"]):
            return
        tree, target = self._sources.take(operation["source"]), operation["target"]
        if operation["writable"]:
            calls.mount_setattr(tree, _SAFE)
            self._attach(tree, target)
            return
        calls.mount_setattr(tree, _SAFE | abi.MOUNT_ATTR_RDONLY)
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            self._veiled(tree, operation["source"], target)
        else:
            self._copied(tree, target)

    def _veiled(self, tree: int, source: str, target: str) -> None:
        """Show a directory, and what is mounted below it, as file systems of the sandbox's own."""
        layer = self._attach_layer(tree)
        for point in ("", *veil.below(self._points, source)):
            place = f"{layer}{point}"
            if not os.path.lexists(place):
                continue  # hidden by a later mount, or gone
            if os.path.isdir(place) and veil.cover(
                place, f"{_BASE}/nothing", self._directory(f"{target}{point}")
            ):
                continue
            self.shared.append(f"{target}{point}")
            self._attach(calls.open_tree(place, 0), f"{target}{point}")

    def _copied(self, tree: int, target: str) -> None:
        """Show a file as a copy where that can be; else as it is."""
        content = veil.copy_of(tree)
        if content is None:
            self.shared.append(target)
            self._attach(tree, target)
            return
        os.close(tree)
        if not os.path.lexists(self._at(target)):
            self._file_at(target, content, os.O_EXCL)
            return
        # In a tree that is shown, and so read-only: the copy is laid over what is there.
        place = f"{_BASE}/layers/{self._layers}"
        self._layers += 1
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        os.write(descriptor, content)
        os.close(descriptor)
        copy = calls.open_tree(place, 0)
        calls.mount_setattr(copy, _SAFE | abi.MOUNT_ATTR_RDONLY)
        self._attach(copy, target)

    def _attach(self, tree: int, target: str) -> None:
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            place = self._directory(target)
        else:
            place = self._file_at(target, b"", os.O_EXCL)
        calls.move_mount(tree, place)
        os.close(tree)

    def _layer(self, path: str) -> str:
        tree = self._sources.take(path)
        calls.mount_setattr(tree, _SAFE)
        return self._attach_layer(tree)

    def _attach_layer(self, tree: int) -> str:
        """Attach a layer where the overlay can name it without a character to escape; closes `tree`."""
        place = f"{_BASE}/layers/{self._layers}"
        self._layers += 1
        os.mkdir(place, 0o700)
        calls.move_mount(tree, place)
        os.close(tree)
        return place

    def _overlay(self, operation: "dict[str, Any]") -> None:
        top = above(operation)
        home = self._layer(top)
        upper = os.path.relpath(operation["upper"], top)
        work = os.path.relpath(operation["work"], top)
        lowers = ":".join(self._layer(path) for path in operation["lowers"])
        place = self._directory(operation["target"])
        # The upper may be a directory of the user's project, whose name may have any character that
        # the options would take for one of theirs: so it is where we are, come to through no link.
        _go_below(home, upper)
        layers = f"lowerdir={lowers},upperdir=.,workdir={home}/{work}"
        # userxattr is what an unprivileged overlay needs to record deletions (Linux 5.11). volatile:
        # an fsync inside, each copy-up and the end of the mount do not wait for the disk (5.10). After
        # a crash the layer is thrown away; whoever commits or holds it makes it durable itself, once.
        data = f"{layers},userxattr"
        flags = abi.MS_NOSUID | abi.MS_NODEV
        try:
            calls.mount("overlay", place, "overlay", flags, f"{data},volatile")
        except calls.SyscallFailed as error:
            # A write to this file system failed once, of whomever, and nobody was told yet: until a
            # sync is, no volatile layer is mounted there. (fs/overlayfs/super.c, "unseen error")
            if error.errno != errno.EIO:
                raise
            calls.mount("overlay", place, "overlay", flags, data)
        os.chdir("/")

    def _tmpfs(self, operation: "dict[str, Any]") -> None:
        place = self._directory(operation["target"])
        data = f"size={operation['size_bytes']},nr_inodes={operation['inodes']},mode={operation['mode']:o}"
        calls.mount("tmpfs", place, "tmpfs", abi.MS_NOSUID | abi.MS_NODEV, data)

    def _file(self, operation: "dict[str, Any]") -> None:
        self._file_at(operation["target"], operation["content"].encode(), os.O_TRUNC)

    def _file_at(self, target: str, content: bytes, how: int) -> str:
        """Make a file of the new root; give its place. With O_EXCL one that is there is left alone."""
        self._directory(os.path.dirname(target))
        place = self._at(target)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how
        try:
            descriptor = os.open(place, flags, 0o444)
        except FileExistsError:
            return place
        os.write(descriptor, content)
        os.close(descriptor)
        return place

    def _link(self, operation: "dict[str, Any]") -> None:
        self._directory(os.path.dirname(operation["target"]))
        os.symlink(operation["to"], self._at(operation["target"]))

    def _masked(self, operation: "dict[str, Any]") -> None:
        place = self._at(operation["target"])
        if not os.path.lexists(place) or os.path.islink(place):
            return
        if os.path.isdir(place):
            calls.mount("tmpfs", place, "tmpfs", abi.MS_RDONLY, "mode=0,size=4k")
        else:
            tree = calls.open_tree(f"{_BASE}/empty", 0)
            # Read-only as well: the file's owner could give itself the right to read or write it.
            calls.mount_setattr(tree, _SAFE | abi.MOUNT_ATTR_RDONLY | abi.MOUNT_ATTR_NOEXEC)
            calls.move_mount(tree, place)
            os.close(tree)

    def _proc(self, operation: "dict[str, Any]") -> None:
        place = self._directory(operation["target"], 0o555)
        calls.mount("proc", place, "proc", abi.MS_NOSUID | abi.MS_NODEV | abi.MS_NOEXEC)
        for name in _PROC_READ_ONLY:
            if os.path.exists(f"{place}/{name}"):
                calls.mount(f"{place}/{name}", f"{place}/{name}", None, abi.MS_BIND | abi.MS_REC)
                flags = abi.MS_REMOUNT | abi.MS_BIND | abi.MS_RDONLY | abi.MS_NOSUID
                calls.mount(None, f"{place}/{name}", None, flags | abi.MS_NODEV | abi.MS_NOEXEC)
        for name in _PROC_MASKED:
            self._masked({"target": f"{operation['target']}/{name}"})

    def _dev(self, operation: "dict[str, Any]") -> None:
        place = self._directory(operation["target"])
        calls.mount("tmpfs", place, "tmpfs", abi.MS_NOSUID | abi.MS_NOEXEC, "mode=0755,size=64k")
        for name in DEVICES:
            tree = self._sources.take(f"/dev/{name}")
            # The node is the host's: who may write to it could set its times, and its owner its mode. A
            # device is written to through a read-only mount all the same.
            calls.mount_setattr(tree, abi.MOUNT_ATTR_RDONLY | _ONLY_DEVICES)
            self._attach(tree, f"{operation['target']}/{name}")
        for name, to in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
            os.symlink(f"/proc/self/fd{to}", f"{place}/{name}")
        os.mkdir(f"{place}/pts", 0o755)
        calls.mount(
            "devpts",
            f"{place}/pts",
            "devpts",
            abi.MS_NOSUID | abi.MS_NOEXEC,
            "newinstance,ptmxmode=0666,mode=0620",
        )
        os.symlink("pts/ptmx", f"{place}/ptmx")
        os.mkdir(f"{place}/shm", 0o755)
        data = f"mode=1777,size={operation['shm_bytes']}"
        calls.mount("tmpfs", f"{place}/shm", "tmpfs", abi.MS_NOSUID | abi.MS_NODEV, data)
        calls.mount(
            None,
            place,
            None,
            abi.MS_REMOUNT | abi.MS_BIND | abi.MS_RDONLY | abi.MS_NOSUID | abi.MS_NOEXEC,
        )


def _go_below(top: str, path: str) -> None:
    """Make the directory `path` below `top` the current one, or fail where a part of it is a link."""
    os.chdir(top)
    for part in path.split("/"):
        descriptor = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.fchdir(descriptor)
        os.close(descriptor)


_APPLY = {
    "bind": Root._bind,
    "overlay": Root._overlay,
    "tmpfs": Root._tmpfs,
    "file": Root._file,
    "link": Root._link,
    "masked": Root._masked,
    "proc": Root._proc,
    "dev": Root._dev,
}
