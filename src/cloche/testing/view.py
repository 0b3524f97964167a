"""A project that exists only in memory: for tests of providers, ours and other people's."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from cloche.runtimes.project import MANIFEST_BYTES


class MemoryView:
    """A ProjectView over a mapping of names to contents."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self._files = {
            name: content.encode() if isinstance(content, str) else content
            for name, content in files.items()
        }

    def names(self, pattern: str, *, limit: int = 1000) -> tuple[str, ...]:
        """Give names that match, sorted; node_modules is not looked into, as in a real view."""
        found = (n for n in self._files if "node_modules/" not in n and fnmatchcase(n, pattern))
        return tuple(sorted(found)[:limit])

    def read(self, name: str, *, limit: int = MANIFEST_BYTES) -> bytes | None:
        """Give the content, or None when it is absent or too long."""
        content = self._files.get(name)
        return content if content is not None and len(content) <= limit else None
