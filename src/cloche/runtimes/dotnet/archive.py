"""A package's own archive, judged before other projects get it; what it holds is never laid out here.

The form: APPNOTE.TXT 6.3.10 of the ZIP format, and the package layout of NuGet 6.
"""

import re
import stat
import struct
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha512
from typing import BinaryIO

from cloche.runtimes.dotnet.markup import Element, read_markup
from cloche.runtimes.provider import CannotPlan

SIGNATURE = ".signature.p7s"
_CHUNK = 1 << 20
_MOST_ENTRIES = 50_000
_MOST_BYTES = 4 << 30
_LARGEST_NUSPEC = 1 << 20
_LONGEST_DIRECTORY = 8 << 20
_LOCATOR = 20  # bytes, section 4.3.15
_END = struct.Struct("<4s4H2LH")  # end of the central directory, section 4.3.16
_CENTRAL = struct.Struct("<4s6H3L5H2L")  # a central record, section 4.3.12
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,3}\Z")


def fault_of(identity: str, file: BinaryIO) -> str:
    """Say why `file` may not be kept as the package `identity`; "" when it may.

    `identity` is NAME.VERSION in lower case, as a feed's addresses have it. What is read of the
    archive is its directory and its .nuspec, at most one mebibyte; sizes are those that it declares.
    """
    try:
        if not _is_bounded(file):
            return "it is no archive of the kind that NuGet makes"
        with zipfile.ZipFile(file) as archive:
            return _fault_of_entries(archive.infolist()) or _fault_of_nuspec(identity, archive)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        ValueError,
        OSError,
        RuntimeError,
    ) as error:
        return f"it is no archive: {error}"
    except (NotImplementedError, EOFError) as error:
        return f"it is an archive of a kind that NuGet does not make: {error}"


def _is_bounded(file: BinaryIO) -> bool:
    """Tell whether the directory is where it is looked for first, and no longer than may be read whole."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _LOCATOR))
    tail = file.read()
    if len(tail) < _END.size:
        return False
    magic, _, _, _, _, length, _, comment = _END.unpack(tail[-_END.size :])
    # With a locator before it, another directory would count, of any length (ZIP64, section 4.3.15).
    is_plain = magic == b"PK\5\6" and not comment and not tail.startswith(b"PK\6\7")
    return is_plain and length <= _LONGEST_DIRECTORY


def _fault_of_entries(entries: list[zipfile.ZipInfo]) -> str:
    if len(entries) > _MOST_ENTRIES:
        return f"it has more than {_MOST_ENTRIES} entries"
    if sum(entry.file_size for entry in entries) > _MOST_BYTES:
        return f"it unpacks to more than {_MOST_BYTES} bytes"
    for entry in entries:
        name = entry.orig_filename
        words = re.split(r"[/\\]", name)
        if not name or name[0] in "/\\" or ".." in words or "\0" in name or ":" in words[0]:
            return f"it has an entry that leads out of it: {name[:80]!r}"
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            return f"it has an entry that is no file: {name[:80]!r}"
    return ""


def _fault_of_nuspec(identity: str, archive: zipfile.ZipFile) -> str:
    found = [e for e in archive.infolist() if e.filename.lower().endswith(".nuspec")]
    found = [entry for entry in found if not re.search(r"[/\\]", entry.filename)]
    if len(found) != 1 or found[0].file_size > _LARGEST_NUSPEC:
        return "it has not one .nuspec, of at most a mebibyte"
    with archive.open(found[0]) as nuspec:
        content = nuspec.read(_LARGEST_NUSPEC + 1)
    if len(content) > _LARGEST_NUSPEC:
        return "its .nuspec is longer than it declares"
    try:
        metadata = next(read_markup(found[0].filename, content).find_all("metadata"), None)
    except CannotPlan as problem:
        return str(problem)
    told = _identity(metadata) if metadata is not None else ""
    return "" if told == identity else f"it says that it is {told[:120]!r}"


def _identity(metadata: Element) -> str:
    name, version = metadata.get("id"), normal_version(metadata.get("version"))
    return f"{name}.{version}".lower()


def normal_version(text: str) -> str:
    """Give a version as NuGet names files by it: three figures at least, a fourth unless it is 0."""
    version = text.strip().partition("+")[0]
    figures, dash, label = version.partition("-")
    if not _NUMBER.match(figures):
        return version.lower()
    numbers = [str(int(figure)) for figure in figures.split(".")]
    numbers += ["0"] * (3 - len(numbers))
    if numbers[3:] == ["0"]:
        numbers.pop()
    return f"{'.'.join(numbers)}{dash}{label}".lower()


def content_hash(file: BinaryIO) -> str:
    """Give NuGet's contentHash: SHA-512 in base64, of the archive as if its signature had never been added.

    Raises ValueError for an archive that is none, and for a signed one with a comment, a second disk
    or ZIP64 records: NuGet signs none of these.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            is_signed = SIGNATURE in archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(str(error)) from error
    if not is_signed:
        return b64encode(_digest(file, [(0, file.seek(0, 2))])).decode()
    records, end = _directory(file)
    signature = next(record for record in records if record.name == SIGNATURE.encode())
    ordered = sorted(records, key=lambda record: record.offset)
    ends = [record.offset for record in ordered[1:]] + [end.start]
    spans = dict(zip((record.offset for record in ordered), ends, strict=True))
    gone = spans[signature.offset] - signature.offset
    parts: list[tuple[int, int] | bytes] = [(0, ordered[0].offset)]
    parts += [(start, stop) for start, stop in spans.items() if start != signature.offset]
    for record in records:
        if record is not signature:
            moved = gone if record.offset > signature.offset else 0
            place = struct.pack("<L", record.offset - moved)
            parts.append(record.raw[:42] + place + record.raw[46:])
    values = _END.unpack(end.raw)
    counts = (values[3] - 1, values[4] - 1, values[5] - len(signature.raw), values[6] - gone)
    parts.append(_END.pack(*values[:3], *counts, values[7]))
    return b64encode(_digest(file, parts)).decode()


class _Record:
    """One record of the central directory."""

    __slots__ = ("name", "offset", "raw")

    def __init__(self, raw: bytes, name: bytes, offset: int) -> None:
        self.raw, self.name, self.offset = raw, name, offset


class _Directory:
    """The central directory's place, and its last record."""

    __slots__ = ("raw", "start")

    def __init__(self, raw: bytes, start: int) -> None:
        self.raw, self.start = raw, start


def _directory(file: BinaryIO) -> tuple[list[_Record], _Directory]:
    size = file.seek(0, 2)
    if size < _END.size:
        raise ValueError("it is too short")
    file.seek(size - _END.size)
    raw = file.read(_END.size)
    magic, disk, other_disk, _, count, length, start, comment = _END.unpack(raw)
    if magic != b"PK\5\6" or disk or other_disk or comment or start + length + _END.size != size:
        raise ValueError("its directory is not at its end")
    file.seek(start)
    directory = file.read(length)
    records = list(_records(directory))
    if len(records) != count:
        raise ValueError("its directory has not as many records as it says")
    if sum(record.name == SIGNATURE.encode() for record in records) != 1:
        raise ValueError("it has not one signature")
    return records, _Directory(raw, start)


def _records(directory: bytes) -> Iterator[_Record]:
    place = 0
    while place < len(directory):
        if len(directory) - place < _CENTRAL.size:
            raise ValueError("a record is cut")
        values = _CENTRAL.unpack_from(directory, place)
        names, extra, comment, offset = values[10], values[11], values[12], values[16]
        if values[0] != b"PK\1\2" or offset == 0xFFFF_FFFF:
            raise ValueError("a record is of another kind")
        end = place + _CENTRAL.size + names + extra + comment
        raw = directory[place:end]
        yield _Record(raw, raw[_CENTRAL.size : _CENTRAL.size + names], offset)
        place = end


def _digest(
    file: BinaryIO, parts: "list[tuple[int, int] | bytes] | list[tuple[int, int]]"
) -> bytes:
    digest = sha512()
    for part in parts:
        if isinstance(part, bytes):
            digest.update(part)
            continue
        start, stop = part
        file.seek(start)
        while start < stop and (block := file.read(min(_CHUNK, stop - start))):
            digest.update(block)
            start += len(block)
    return digest.digest()
