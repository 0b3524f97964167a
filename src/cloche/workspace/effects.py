"""Every call of this package that changes the disk, in one place.

`before` is told of each call and may raise: that is how the crash tests stop
a commit in front of its k-th change, and how they inject errors. Nothing else
in the package changes a file.
"""

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from cloche.workspace import syscalls
from cloche.workspace.jail import by_descriptor

Before = Callable[[str, str], None]
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Effects:
    """The state-changing calls, each relative to an open directory or an open file."""

    __slots__ = ("_before",)

    def __init__(self, before: Before | None = None) -> None:
        self._before = before

    def mkdir(self, at: int, name: str, mode: int) -> None:
        """Make a directory with exactly `mode`, whatever the umask."""
        self._tell("mkdir", name)
        os.mkdir(name, 0o700, dir_fd=at)
        if mode != 0o700:
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            try:
                self.chmod(descriptor, mode)
            finally:
                os.close(descriptor)

    def create(self, at: int, name: str, content: bytes, mode: int = 0o600) -> int:
        """Make a new file with `content` and give its open descriptor, not yet synced."""
        self._tell("create", name)
        descriptor = os.open(name, _CREATE, mode, dir_fd=at)
        with ExitStack() as undo:
            undo.callback(os.close, descriptor)
            # In two halves: a crash between them is a torn file, and must be survived.
            middle = len(content) // 2
            for part in (content[:middle], content[middle:]):
                self._tell("write", name)
                _write_all(descriptor, part)
            undo.pop_all()
        return descriptor

    def overwrite(self, descriptor: int, content: bytes) -> None:
        """Make `content` all that an open file holds; not atomic."""
        self._tell("overwrite", str(descriptor))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)

    def rename(self, old_at: int, old: str, new_at: int, new: str) -> None:
        """Rename, replacing what is there."""
        self._tell("rename", new)
        os.rename(old, new, src_dir_fd=old_at, dst_dir_fd=new_at)

    def place(self, old_at: int, old: str, new_at: int, new: str) -> None:
        """Rename to a name that is free; EEXIST otherwise."""
        self._tell("place", new)
        syscalls.renameat2(old_at, old, new_at, new, syscalls.RENAME_NOREPLACE)

    def exchange(self, old_at: int, old: str, new_at: int, new: str) -> None:
        """Swap two entries in one step; ENOENT when either is missing."""
        self._tell("exchange", new)
        syscalls.renameat2(old_at, old, new_at, new, syscalls.RENAME_EXCHANGE)

    def link(self, old_at: int, old: str, new_at: int, new: str) -> None:
        """Give a file a second name, itself and not what a link points to."""
        self._tell("link", new)
        os.link(old, new, src_dir_fd=old_at, dst_dir_fd=new_at, follow_symlinks=False)

    def unlink(self, at: int, name: str) -> None:
        """Remove a name that is no directory."""
        self._tell("unlink", name)
        os.unlink(name, dir_fd=at)

    def white_out(self, at: int, name: str) -> None:
        """Make overlayfs's sign for "deleted", which needs no right since Linux 5.8. mknod(2).

        Where none can be made, as on an overlayfs, a fifo of mode 0 says it: see diff.is_whiteout.
        """
        self._tell("mknod", name)
        try:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=at)
        except PermissionError:
            os.mknod(name, stat.S_IFIFO, dir_fd=at)

    def symlink(self, at: int, name: str, target: str) -> None:
        """Make a symbolic link that says `target`."""
        self._tell("symlink", name)
        os.symlink(target, name, dir_fd=at)

    def rmdir(self, at: int, name: str) -> None:
        """Remove an empty directory."""
        self._tell("rmdir", name)
        os.rmdir(name, dir_fd=at)

    def chmod(self, descriptor: int, mode: int) -> None:
        """Set the mode of what is open, O_PATH or not."""
        self._tell("chmod", str(descriptor))
        os.chmod(by_descriptor(descriptor), mode)

    @contextlib.contextmanager
    def granted(self, descriptor: int, bits: int) -> Iterator[None]:
        """Add `bits` to the mode of what is open here for the length of a block; root needs none.

        Its owner needs them to mark it (xattr(7)), or to move a directory, whose ".." changes.
        """
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if os.geteuid() == 0 or mode & bits == bits:
            yield
            return
        self.chmod(descriptor, mode | bits)
        try:
            yield
        finally:
            self.chmod(descriptor, mode)

    def chown(self, descriptor: int, uid: int, gid: int) -> None:
        """Set the owner of what is open, O_PATH or not."""
        self._tell("chown", str(descriptor))
        os.chown(by_descriptor(descriptor), uid, gid)

    def utime(self, descriptor: int, accessed: int, modified: int) -> None:
        """Set the times of what is open, in nanoseconds, O_PATH or not."""
        self._tell("utime", str(descriptor))
        os.utime(by_descriptor(descriptor), ns=(accessed, modified))

    def mark(self, descriptor: int, name: str, value: bytes) -> None:
        """Set an extended attribute."""
        self._tell("setxattr", name)
        os.setxattr(by_descriptor(descriptor), name, value)

    def unmark(self, descriptor: int, name: str) -> None:
        """Remove an extended attribute."""
        self._tell("removexattr", name)
        os.removexattr(by_descriptor(descriptor), name)

    def fsync(self, descriptor: int) -> None:
        """Write one file or directory to the disk."""
        self._tell("fsync", str(descriptor))
        os.fsync(descriptor)

    def syncfs(self, descriptor: int) -> None:
        """Write the whole file system to the disk."""
        self._tell("syncfs", str(descriptor))
        syscalls.syncfs(descriptor)

    def syncfs_beside(self, directory: int) -> Callable[[], None]:
        """Begin to write the whole file system to the disk; call what this gives to wait for its end.

        That raises what went wrong. It has an open directory of its own: the kernel reports a failed
        write once to each, and whoever syncs `directory` itself later must hear of it too. syncfs(2)
        """
        self._tell("syncfs", str(directory))
        own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        failed: list[OSError] = []

        def write() -> None:
            try:
                syscalls.syncfs(own)
            except OSError as error:
                failed.append(error)
            finally:
                os.close(own)

        thread = threading.Thread(target=write, name="cloche-syncfs")
        thread.start()

        def wait() -> None:
            thread.join()
            if failed:
                raise failed[0]

        return wait

    def _tell(self, call: str, detail: str) -> None:
        if self._before is not None:
            self._before(call, detail)


def _write_all(descriptor: int, content: bytes) -> None:
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]
