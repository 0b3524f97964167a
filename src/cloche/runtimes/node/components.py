"""A lock as lines of a bill of materials."""

import base64
from urllib.parse import quote

from cloche.model.step import Component
from cloche.runtimes.node.lock import Lock, LockEntry


def components_of(lock: Lock) -> tuple[Component, ...]:
    """Give each package once, by name and version; needed in production if any place needs it so."""
    chosen: dict[tuple[str, str], LockEntry] = {}
    for entry in lock.packages():
        key = (entry.name, entry.version)
        if key not in chosen or (chosen[key].development and not entry.development):
            chosen[key] = entry
    return tuple(_component(chosen[key]) for key in sorted(chosen))


def _component(entry: LockEntry) -> Component:
    return Component(
        name=entry.name,
        version=entry.version,
        # The purl specification: the scope is a namespace, its "@" is encoded, its slash is not.
        purl=f"pkg:npm/{quote(entry.name, safe='/')}@{quote(entry.version, safe='')}",
        sha512=_hexadecimal(entry.integrity),
        licence=entry.licence,
        development=entry.development,
    )


def _hexadecimal(integrity: str) -> str:
    return base64.b64decode(integrity.removeprefix("sha512-")).hex() if integrity else ""
