"""Cargo.lock as a value, read strictly."""

from dataclasses import dataclass
from hashlib import sha256

from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.rust.document import read_table, tables, text

_MOST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """One package of the lock."""

    name: str
    version: str
    source: str
    """Where it comes from; "" for a package of the project itself."""
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One Cargo.lock."""

    path: str
    content: bytes
    entries: tuple[LockEntry, ...]

    def fetched(self) -> tuple[LockEntry, ...]:
        """Give what has to come from somewhere else."""
        return tuple(entry for entry in self.entries if entry.source)

    def digests(self) -> dict[str, str]:
        """Give the checksums of all that is fetched, by NAME-VERSION as cargo names its files."""
        return {f"{entry.name}-{entry.version}": entry.checksum for entry in self.fetched()}

    def digest(self) -> str:
        """Give the SHA-256 of the file."""
        return sha256(self.content).hexdigest()


def read_lock(path: str, content: bytes) -> Lock:
    """Read a lock. Raises CannotPlan; what it asks for is judged by `lint_lock`."""
    found = tables(read_table(path, content).get("package", []))
    if len(found) > _MOST:
        raise CannotPlan(path, f"it names more than {_MOST} packages")
    entries = tuple(
        LockEntry(
            name=text(entry.get("name")),
            version=text(entry.get("version")),
            source=text(entry.get("source")),
            checksum=text(entry.get("checksum")),
        )
        for entry in found
    )
    return Lock(path=path, content=content, entries=entries)
