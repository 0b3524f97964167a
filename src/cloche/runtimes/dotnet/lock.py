"""packages.lock.json: read strictly, written anew for the fetch."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from cloche.model.step import Component
from cloche.runtimes.dotnet.archive import normal_version
from cloche.runtimes.json_object import read_object
from cloche.runtimes.provider import CannotPlan, LintRefused

LOCK = "packages.lock.json"
_FRAMEWORK = re.compile(r"[A-Za-z0-9.,=/\- ]{1,120}\Z")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}\Z")
_VERSION = re.compile(r"[A-Za-z0-9.\-+]{1,80}\Z")
_RANGE = re.compile(r"[A-Za-z0-9.\-+\[\](), *]{1,100}\Z")
_TYPES = frozenset({"Direct", "Transitive", "CentralTransitive", "Project"})
_DIGEST_BYTES = 64  # SHA-512


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One package of one framework of a lock."""

    framework: str
    name: str
    kind: str
    version: str
    digest: str
    """NuGet's contentHash: SHA-512 in base64, of the package without its signature."""
    requested: str
    dependencies: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One project's lock."""

    path: str
    form: int
    entries: tuple[Locked, ...]
    frameworks: tuple[str, ...]


def read_lock(path: str, content: bytes) -> Lock:
    """Read and judge a lock. Raises CannotPlan, LintRefused with every reason."""
    document = read_object(path, content)
    form, frameworks = document.get("version"), document.get("dependencies")
    if form not in (1, 2) or not isinstance(frameworks, dict):
        raise CannotPlan(path, "it is not a lock of format 1 or 2")
    reasons: list[str] = []
    entries: list[Locked] = []
    for framework, packages in frameworks.items():
        if not _FRAMEWORK.match(framework) or not isinstance(packages, dict):
            reasons.append(f"{framework[:80]!r} is no target framework")
            continue
        for name, value in packages.items():
            entry = _entry(framework, name, value)
            if isinstance(entry, str):
                reasons.append(f"{name[:80]}: {entry}")
            else:
                entries.append(entry)
    if reasons:
        raise LintRefused(path, tuple(reasons))
    return Lock(path=path, form=form, entries=tuple(entries), frameworks=tuple(frameworks))


def _entry(framework: str, name: str, value: Any) -> Locked | str:  # Any: JSON
    """Give one entry, or why it is refused."""
    if not isinstance(value, dict) or value.get("type") not in _TYPES:
        return "its type is not one that NuGet writes"
    texts = {key: value.get(key, "") for key in ("resolved", "requested", "contentHash")}
    dependencies = value.get("dependencies", {})
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(
        dependencies, dict
    ):
        return "its values are not text"
    is_project = value["type"] == "Project"
    if not _ID.match(name):
        return "that is no name of a package"
    if not is_project and not _VERSION.match(texts["resolved"]):
        return f"its version is {texts['resolved'][:80]!r}"
    if not is_project and not _is_digest(texts["contentHash"]):
        return "it has no SHA-512 of its content"
    if texts["requested"] and not _RANGE.match(texts["requested"]):
        return f"it requests {texts['requested'][:80]!r}"
    for other, wanted in dependencies.items():
        if not _ID.match(other) or not isinstance(wanted, str) or not _RANGE.match(wanted):
            return f"its dependency {other[:80]!r} is malformed"
    return Locked(
        framework=framework,
        name=name,
        kind=value["type"],
        version="" if is_project else texts["resolved"],
        digest="" if is_project else texts["contentHash"],
        requested=texts["requested"],
        dependencies=tuple(dependencies.items()),
    )


def _is_digest(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _DIGEST_BYTES
    except (ValueError, binascii.Error):
        return False


def write_lock(lock: Lock) -> bytes:
    """Write a lock with nothing in it but what was read."""
    frameworks: dict[str, dict[str, Any]] = {framework: {} for framework in lock.frameworks}
    for entry in lock.entries:
        texts = {
            "requested": entry.requested,
            "resolved": entry.version,
            "contentHash": entry.digest,
        }
        value: dict[str, Any] = {"type": entry.kind}
        value |= {key: text for key, text in texts.items() if text}
        if entry.dependencies:
            value["dependencies"] = dict(entry.dependencies)
        frameworks[entry.framework][entry.name] = value
    return json.dumps({"version": lock.form, "dependencies": frameworks}, indent=2).encode() + b"\n"


def locked_digests(locks: tuple[Lock, ...]) -> dict[str, str]:
    """Give NuGet's contentHash of each package, by NAME.VERSION in lower case.

    Raises LintRefused where two locks do not agree about one.
    """
    found: dict[str, str] = {}
    for lock in locks:
        for entry in lock.entries:
            if not entry.version:
                continue
            identity = f"{entry.name.lower()}.{normal_version(entry.version)}"
            if found.setdefault(identity, entry.digest) != entry.digest:
                why = f"{entry.name} {entry.version}: another lock has another content hash for it"
                raise LintRefused(lock.path, (why,))
    return found


def components_of_locks(locks: tuple[Lock, ...]) -> tuple[Component, ...]:
    """Give each package once, by name and version."""
    chosen = {(e.name, e.version): e for lock in locks for e in lock.entries if e.version}
    return tuple(
        component(name, version, base64.b64decode(chosen[name, version].digest).hex())
        for name, version in sorted(chosen)
    )


def component(name: str, version: str, sha512: str) -> Component:
    """Give a line of the bill of materials."""
    return Component(name=name, version=version, purl=f"pkg:nuget/{name}@{version}", sha512=sha512)
