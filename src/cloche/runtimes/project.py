"""How a provider sees a project: read-only, bounded, never through a link."""

from dataclasses import dataclass
from typing import Protocol

MANIFEST_BYTES = 1 << 20
LOCK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTree:
    """A directory that a tool makes in a project, and that is not looked through for sources and secrets."""

    name: str
    signs: tuple[tuple[str, bytes], ...] = ()
    """(file in it, its first bytes), for a name that is also one of sources: one of these shows it, and
    only in the root of what the runtime claims. Without signs it is one wherever it is."""


class ProjectView(Protocol):
    """A snapshot of untrusted files. What is too large, a link or a device is not there."""

    def names(self, pattern: str, *, limit: int = 1000) -> tuple[str, ...]:
        """Give project-relative names of regular files that match a `fnmatch` pattern, sorted.

        Its "*" crosses slashes: "*.rs" means files of any depth.
        """
        ...

    def read(self, name: str, *, limit: int = MANIFEST_BYTES) -> bytes | None:
        """Give the whole content, or None when absent, not a regular file, or over `limit` bytes."""
        ...
