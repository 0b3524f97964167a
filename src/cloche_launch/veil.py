"""Trees of the host shown read-only, each as a file system of the sandbox's own.

A file that is bound is the host's own inode: inotify(7) on it tells what others
open, and a lock of flock(2) on it holds them up. Read through an overlay
without an upper layer it is another inode with the same content (and the same
page cache, so it costs no memory).
"""

import contextlib
import os
import stat

from cloche_launch import abi, calls

_LONGEST_COPY = 1 << 20
_LAID_OVER = abi.MS_RDONLY | abi.MS_NOSUID | abi.MS_NODEV


def cover(tree: str, nothing: str, target: str) -> bool:
    """Show `tree` at `target` through an overlay of it and the empty directory `nothing`.

    False where the kernel refuses: what is an overlay of overlays already
    carries no third one (FILESYSTEM_MAX_STACK_DEPTH, linux/fs.h).
    """
    # Two lower layers, because one without an upper is refused (fs/overlayfs/super.c); userxattr,
    # because the marks of a privileged overlay are not ours to read (Linux 5.11).
    data = f"lowerdir={tree}:{nothing},userxattr"
    try:
        calls.mount("overlay", target, "overlay", _LAID_OVER, data)
    except OSError:
        return False
    return True


def copy_of(tree: int) -> "bytes | None":
    """Give the content of a small file, which is better copied; None for all else."""
    found = os.fstat(tree)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LONGEST_COPY:
        return None
    with contextlib.suppress(OSError):  # who may not read it is shown it all the same
        descriptor = os.open(f"/proc/self/fd/{tree}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(descriptor, _LONGEST_COPY + 1)
        finally:
            os.close(descriptor)
        return content if len(content) == found.st_size else None
    return None


def mount_points() -> list[str]:
    """Give where something is mounted, parents first. proc_pid_mountinfo(5), the 5th field."""
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split(b" ", 5)[4] for line in file]
    return [os.fsdecode(_plain(field) if b"\\" in field else field) for field in fields]


def _plain(field: bytes) -> bytes:
    """Undo the octal numbers that blanks and backslashes are written as."""
    return field.decode("unicode_escape").encode("latin-1")


def below(points: list[str], source: str) -> list[str]:
    """Give what of `points` lies below `source`, relative to it and with a leading slash."""
    above = os.path.realpath(source)
    return list(dict.fromkeys(p[len(above) :] for p in points if p.startswith(f"{above}/")))
