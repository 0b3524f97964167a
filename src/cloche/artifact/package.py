"""Writing a package: a plain tar, the same bytes for the same content, whole or not at all.

Plain, since compressed bytes depend on the compressor's version; ustar with
pax headers only where a name is longer (POSIX.1-2001). Times, owners and modes
are fixed: two builds differ only where their content does.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from cloche.artifact.errors import NotPackable
from cloche.artifact.manifest import CONTENT, NAME, Manifest, Member
from cloche.model.paths import JailPath
from cloche.model.step import ArtifactSpec

_CHUNK = 1 << 20


class Entry(Protocol):
    """One entry of a built tree; `kind` is "file", "directory" or "link"."""

    @property
    def path(self) -> JailPath:
        """Where it is."""
        ...

    @property
    def kind(self) -> str:
        """What it is."""
        ...

    @property
    def size(self) -> int:
        """Its size in bytes."""
        ...

    @property
    def mode(self) -> int:
        """Its permission bits."""
        ...

    @property
    def target(self) -> str:
        """Of a link."""
        ...


class PackageSource(Protocol):
    """Where the content comes from. It is hostile: names, links and sizes are judged here."""

    def names(self, under: str = "", *, exclude: tuple[str, ...] = ()) -> tuple[Entry, ...]:
        """Give what is at and below a path, through no link."""
        ...

    def open_file(self, path: JailPath) -> int:
        """Open a regular file for reading, through no link."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageMade:
    """A package on disk."""

    path: Path
    sha256: str
    size: int
    files: int


def write_package(
    source: PackageSource,
    spec: ArtifactSpec,
    out: Path,
    documents: Mapping[str, bytes],
    epoch: int,
) -> PackageMade:
    """Write the package of `spec` to `out`, with `documents` beside the content.

    Raises NotPackable for a declared output that is missing, empty, or holds
    a link that leaves the package. `epoch` is the time of every member.
    """
    entries = _collect(source, spec)
    members = [_document(name, content) for name, content in documents.items()]
    members += [_member(source, entry, spec) for entry in entries]
    members.sort(key=lambda member: member.path)
    manifest = Manifest(name=spec.name, version=spec.version, members=tuple(members))
    temporary = out.with_name(f".{out.name}.part")
    with temporary.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, NAME, manifest.encode(), epoch)
            for member in members:
                _write(archive, member, source, documents, epoch)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(out)
    with out.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PackageMade(path=out, sha256=digest, size=out.stat().st_size, files=len(members))


def _collect(source: PackageSource, spec: ArtifactSpec) -> list[Entry]:
    found: dict[str, Entry] = {}
    for include in spec.include:
        here = [e for e in source.names(include, exclude=spec.exclude) if e.kind != "directory"]
        if not here:
            raise NotPackable(include, "it is not there, or empty")
        found |= {str(entry.path): entry for entry in here}
    return [found[path] for path in sorted(found)]


def _document(name: str, content: bytes) -> Member:
    return Member(path=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _member(source: PackageSource, entry: Entry, spec: ArtifactSpec) -> Member:
    path = f"{CONTENT}{entry.path}"
    if entry.kind == "link":
        _check_link(entry, spec)
        digest = hashlib.sha256(entry.target.encode("utf-8", "surrogateescape")).hexdigest()
        return Member(path=path, size=0, sha256=digest, target=entry.target)
    if entry.kind != "file":
        raise NotPackable(str(entry.path), f"it is a {entry.kind}")
    with os.fdopen(_open(source, entry.path), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return Member(path=path, size=size, sha256=digest, executable=bool(entry.mode & 0o111))


def _open(source: PackageSource, path: JailPath) -> int:
    try:
        return source.open_file(path)
    except OSError as error:
        raise NotPackable(str(path), "it cannot be read") from error


def _check_link(entry: Entry, spec: ArtifactSpec) -> None:
    """Refuse a link that leaves the content, or climbs after a name (which could lead anywhere)."""
    parts = [part for part in entry.target.split("/") if part not in ("", ".")]
    climbs = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    depth = len(entry.path.parts) - 1
    if entry.target.startswith("/") or climbs > depth or ".." in parts[climbs:]:
        raise NotPackable(str(entry.path), f"it links to {entry.target!r}, outside {spec.name}")


def _write(
    archive: tarfile.TarFile,
    member: Member,
    source: PackageSource,
    documents: Mapping[str, bytes],
    epoch: int,
) -> None:
    if member.path in documents:
        _add(archive, member.path, documents[member.path], epoch)
        return
    header = _header(member.path, epoch)
    if member.target:
        header.type, header.linkname, header.mode = tarfile.SYMTYPE, member.target, 0o777
        archive.addfile(header)
        return
    header.size = member.size
    header.mode = 0o755 if member.executable else 0o644
    path = JailPath.parse(member.path.removeprefix(CONTENT))
    with os.fdopen(_open(source, path), "rb") as file:
        archive.addfile(header, _Exact(file, member))


def _add(archive: tarfile.TarFile, name: str, content: bytes, epoch: int) -> None:
    header = _header(name, epoch)
    header.size = len(content)
    archive.addfile(header, io.BytesIO(content))


def _header(name: str, epoch: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.mtime, header.mode = epoch, 0o644
    return header


class _Exact(io.RawIOBase):
    """Reads a file that must still be what was hashed a moment ago."""

    def __init__(self, file: BinaryIO, member: Member) -> None:
        self._file, self._member = file, member
        self._digest = hashlib.sha256()
        self._left = member.size

    def read(self, size: int = -1) -> bytes:
        """Give the next bytes; at the end the digest is compared. Raises NotPackable."""
        data = self._file.read(min(size, _CHUNK) if size >= 0 else _CHUNK)
        self._digest.update(data)
        self._left -= len(data)
        if (self._left == 0 and self._digest.hexdigest() != self._member.sha256) or (
            not data and self._left
        ):
            raise NotPackable(self._member.path, "it changed while it was packaged")
        return data
