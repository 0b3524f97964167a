"""The sandbox's file tree as a list of small values that can describe themselves.

`source` is an absolute host path; `target` an absolute path inside. The root
is an empty tmpfs which becomes read-only once every operation is done, and
missing parent directories of a target are made in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BindReadOnly:
    """A host file or directory, read-only, nosuid, nodev, with all mounts below it.

    `optional`: a source that does not exist is left out. `of_user`: owned by
    the user who runs Cloche, and so shown as owned by the program inside.
    """

    source: str
    target: str
    optional: bool = False
    of_user: bool = False

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"bind {self.source} at {self.target}, read-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindWritable:
    """A host directory of ours (scratch, projection), writable, nosuid, nodev."""

    source: str
    target: str

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"bind {self.source} at {self.target}, writable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Writes go to `upper`, reads fall through to `lowers` (first is on top).

    overlayfs with userxattr (Linux 5.11) and volatile: nothing in `upper` is durable until whoever
    keeps it syncs its file system. `work` is empty, on that file system, and never used again.
    """

    lowers: tuple[str, ...]
    upper: str
    work: str
    target: str
    identity: tuple[int, ...] = ()
    """(device, inode) that the last of `lowers` must have: whoever may rename what is above it could
    put a link to anything in its place. Empty where nobody else can."""

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"overlay {', '.join(self.lowers)} at {self.target}, changes kept in {self.upper}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """An empty file system in memory, bounded in bytes and inodes; counted as memory."""

    target: str
    size_bytes: int
    inodes: int = 20_000
    mode: int = 0o700

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"tmpfs of {self.size_bytes} bytes at {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """A small file the kernel wrote, read-only (mode 0444), such as /etc/passwd."""

    target: str
    content: bytes

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"file {self.target} of {len(self.content)} bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolicLink:
    """A link at `target` that says `to`, such as /bin -> usr/bin."""

    target: str
    to: str

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"link {self.target} -> {self.to}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """Hide what an earlier operation put at `target`: an empty unreadable file or directory."""

    target: str

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"hide {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proc:
    """A fresh procfs of the new pid namespace, with /proc/sys and other host-wide files read-only or masked."""

    target: str = "/proc"

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"procfs at {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dev:
    """A minimal /dev: null, zero, full, random, urandom, tty, fd links, an own pts and a bounded shm."""

    target: str = "/dev"
    shm_bytes: int = 64 << 20

    def describe(self) -> str:
        """Say what is done, for people."""
        return f"minimal devices at {self.target}"


MountOp = (
    BindReadOnly | BindWritable | Overlay | Tmpfs | FileContent | SymbolicLink | Masked | Proc | Dev
)


def ordered(operations: Iterable[MountOp]) -> tuple[MountOp, ...]:
    """Sort parents before children, so that no mount hides an earlier one; masks come last."""
    return tuple(sorted(operations, key=lambda op: (isinstance(op, Masked), op.target.split("/"))))
