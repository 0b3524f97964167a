"""Reading a package as a stranger must: nothing is believed before it is checked."""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloche.artifact import manifest as manifests
from cloche.artifact.errors import PackageInvalid
from cloche.artifact.manifest import CONTENT, Manifest, Member
from cloche.model.paths import JailPath, PathOutsideJail

_CHUNK = 1 << 20
_LARGEST_MANIFEST = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRead:
    """A package whose every digest holds."""

    manifest: Manifest
    sha256: str
    size: int


def verify_package(path: Path) -> PackageRead:
    """Read all of a package. Raises PackageInvalid for the first thing that is not as stated."""
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        expected = iter(manifest.members)
        for header in _rest(archive):
            member = next(expected, None)
            if member is None:
                raise PackageInvalid(path.name, f"{header.name!r} is not in its manifest")
            _check(path, archive, header, member)
        missing = next(expected, None)
        if missing is not None:
            raise PackageInvalid(path.name, f"{missing.path!r} is missing")
        _check_end(path, archive)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PackageRead(manifest=manifest, sha256=digest, size=path.stat().st_size)


def extract_package(path: Path, into: Path) -> Manifest:
    """Verify a package, then lay its content out below the empty directory `into`."""
    read = verify_package(path)
    if any(into.iterdir()):
        raise PackageInvalid(path.name, f"{into} is not empty")
    links: list[Member] = []
    with _opened(path) as archive:
        archive.next()  # the manifest, just verified
        for header, member in zip(_rest(archive), read.manifest.members, strict=True):
            if not member.path.startswith(CONTENT):
                continue
            if member.target:
                links.append(member)
                continue
            _lay_out(archive, header, member, into)
    # Links come last: while files are written no link of the package is there to be followed.
    for member in links:
        target = _place(into, member)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(member.target)
    return read.manifest


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, mode="r:", errorlevel=2) as archive:
            yield archive
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise PackageInvalid(path.name, f"it cannot be read: {error}") from error


def _rest(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Go on behind the manifest; iterating over the archive itself would start anew."""
    while (header := archive.next()) is not None:
        yield header


def _manifest(archive: tarfile.TarFile, path: Path) -> Manifest:
    header = archive.next()
    if header is None or header.name != manifests.NAME or not header.isreg():
        raise PackageInvalid(path.name, "its first member is not a manifest")
    if header.size > _LARGEST_MANIFEST:
        raise PackageInvalid(path.name, "its manifest is too large")
    content = archive.extractfile(header)
    assert content is not None
    try:
        manifest = manifests.decode(content.read())
    except ValueError as error:
        raise PackageInvalid(path.name, f"its manifest is refused: {error}") from error
    paths = [member.path for member in manifest.members]
    if paths != sorted(set(paths)):
        raise PackageInvalid(path.name, "its members are not in order, or come twice")
    return manifest


def _check(path: Path, archive: tarfile.TarFile, header: tarfile.TarInfo, member: Member) -> None:
    if header.name != member.path or header.uid or header.gid or header.uname or header.gname:
        raise PackageInvalid(path.name, f"{header.name!r} is not {member.path!r} as stated")
    try:
        JailPath.parse(header.name)
    except PathOutsideJail as error:
        raise PackageInvalid(path.name, str(error)) from error
    if member.target:
        if not header.issym() or header.linkname != member.target:
            raise PackageInvalid(path.name, f"{header.name!r} is not the stated link")
        content = member.target.encode("utf-8", "surrogateescape")
        _compare(path, member, hashlib.sha256(content).hexdigest(), 0)
        _check_link(path, member)
        return
    mode = 0o755 if member.executable else 0o644
    if not header.isreg() or header.mode != mode:
        raise PackageInvalid(path.name, f"{header.name!r} is not a plain file of mode {mode:o}")
    file = archive.extractfile(header)
    assert file is not None
    digest = hashlib.sha256()
    while block := file.read(_CHUNK):
        digest.update(block)
    _compare(path, member, digest.hexdigest(), header.size)


def _compare(path: Path, member: Member, digest: str, size: int) -> None:
    if digest != member.sha256 or size != member.size:
        raise PackageInvalid(path.name, f"{member.path!r} is not what its digest says")


def _check_link(path: Path, member: Member) -> None:
    parts = [part for part in member.target.split("/") if part not in ("", ".")]
    climbs = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    depth = member.path.count("/") - 1  # below content/
    outward = member.target.startswith("/") or climbs > depth or ".." in parts[climbs:]
    if outward or not member.path.startswith(CONTENT):
        raise PackageInvalid(path.name, f"{member.path!r} is a link that leaves the content")


def _check_end(path: Path, archive: tarfile.TarFile) -> None:
    """Insist on nothing but zeroes behind the last member: data there would be unaccounted for."""
    with path.open("rb") as file:
        file.seek(archive.offset)
        while block := file.read(_CHUNK):
            if block.strip(b"\0"):
                raise PackageInvalid(path.name, "there is data behind its end")


def _place(into: Path, member: Member) -> Path:
    return into.joinpath(*JailPath.parse(member.path.removeprefix(CONTENT)).parts)


def _lay_out(archive: tarfile.TarFile, header: tarfile.TarInfo, member: Member, into: Path) -> None:
    target = _place(into, member)
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = 0o755 if member.executable else 0o644
    content = archive.extractfile(header)
    assert content is not None
    with os.fdopen(os.open(target, flags, mode), "wb") as out:
        while block := content.read(_CHUNK):
            out.write(block)
