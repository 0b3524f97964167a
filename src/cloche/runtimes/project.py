"""How a provider sees a project: read-only, bounded, never through a link."""

from typing import Protocol

MANIFEST_BYTES = 1 << 20
LOCK_BYTES = 64 << 20


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
