"""package-lock.json as a value: formats 2 and 3, read strictly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cloche.runtimes.json_object import read_object, texts, write_object
from cloche.runtimes.node.names import sha512_of
from cloche.runtimes.provider import CannotPlan

FORMAT = 3
_READABLE = (2, 3)
_MOST_PACKAGES = 50_000
# What npm needs of an entry; all else is left behind, "scripts" among it.
_KEPT = (
    "name", "version", "integrity", "resolved", "link", "dev", "optional", "devOptional", "peer",
    "inBundle", "hasInstallScript", "license", "os", "cpu", "libc", "engines", "bin",
    "dependencies", "devDependencies", "optionalDependencies", "peerDependencies",
    "peerDependenciesMeta", "bundleDependencies", "workspaces",
)  # fmt: skip


class LockTooOld(CannotPlan):
    """The lock is of format 1, which holds too little to install from without the network."""

    code = "lock-too-old"
    exit_status = 107
    remedy = "Write it anew with npm 7 or later: npm install --package-lock-only"

    def __init__(self, path: str, version: object) -> None:
        super().__init__(path, f"lockfileVersion is {version!r}", "formats 2 and 3 are read")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """One place in the tree that npm lays out: a package, a member, or a link to a member."""

    path: str
    name: str
    """As the registry knows it; differs from the last part of `path` for an alias."""
    version: str
    integrity: str
    resolved: str
    link: bool
    development: bool
    optional: bool
    bundled: bool
    has_install_script: bool
    licence: str
    commands: Mapping[str, str]
    systems: tuple[str, ...]
    raw: Mapping[str, Any] = field(repr=False)
    """The kept fields, as they stood."""

    @property
    def is_package(self) -> bool:
        """Tell whether this comes from a registry rather than from the project."""
        return not self.link and "node_modules/" in self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A whole lock. `root` is what package.json said when it was written."""

    path: str
    root: Mapping[str, Any]
    entries: tuple[LockEntry, ...]

    def packages(self) -> tuple[LockEntry, ...]:
        """Give what comes from a registry, in the order of paths."""
        return tuple(entry for entry in self.entries if entry.is_package)

    def get(self, path: str) -> LockEntry | None:
        """Give the entry at `path`."""
        return next((entry for entry in self.entries if entry.path == path), None)

    def digest(self) -> str:
        """Give the SHA-256 of everything that decides what is installed."""
        listed = {entry.path: dict(entry.raw) for entry in self.entries}
        return sha256(write_object({"root": dict(self.root), "packages": listed})).hexdigest()


def read_lock(path: str, content: bytes) -> Lock:
    """Read a lock. Raises LockTooOld, CannotPlan; what it asks for is judged by `lint`."""
    data = read_object(path, content)
    version = data.get("lockfileVersion")
    if version not in _READABLE:
        raise LockTooOld(path, version)
    packages = data.get("packages")
    if not isinstance(packages, dict) or len(packages) > _MOST_PACKAGES:
        raise CannotPlan(path, f"packages is not an object of at most {_MOST_PACKAGES} entries")
    entries = []
    for place, raw in packages.items():
        if not isinstance(raw, dict):
            raise CannotPlan(path, f"packages[{place[:120]!r}] is not an object")
        if place:
            entries.append(_entry(place, raw))
    root = packages.get("", {})
    return Lock(path=path, root=_kept(root), entries=tuple(sorted(entries, key=lambda e: e.path)))


def _entry(path: str, raw: dict[str, Any]) -> LockEntry:
    name = raw.get("name")
    bundled = raw.get("inBundle") is True
    return LockEntry(
        path=path,
        name=name if isinstance(name, str) else path.rpartition("node_modules/")[2],
        version=_text(raw, "version"),
        integrity=sha512_of(_text(raw, "integrity")),
        resolved=_text(raw, "resolved"),
        link=raw.get("link") is True,
        development=raw.get("dev") is True,
        optional=raw.get("optional") is True or raw.get("devOptional") is True,
        bundled=bundled,
        has_install_script=raw.get("hasInstallScript") is True,
        licence=_licence(raw.get("license")),
        commands=texts(raw.get("bin")),
        systems=tuple(s for s in _list(raw.get("os")) if isinstance(s, str)),
        raw=_kept(raw),
    )


def _kept(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: raw[key] for key in _KEPT if key in raw}


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key, "")
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _licence(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("type")
    return value[:200] if isinstance(value, str) else ""
