"""A lock as lines of a bill of materials."""

from urllib.parse import quote

from cloche.model.step import Component
from cloche.runtimes.rust.lock import Lock


def components_of(lock: Lock) -> tuple[Component, ...]:
    """Give each package that comes from elsewhere. The lock does not tell which of them only tests need."""
    return tuple(
        Component(
            name=entry.name,
            version=entry.version,
            purl=f"pkg:cargo/{quote(entry.name, safe='')}@{quote(entry.version, safe='')}",
            sha256=entry.checksum,
        )
        for entry in sorted(lock.fetched(), key=lambda entry: (entry.name, entry.version))
    )
