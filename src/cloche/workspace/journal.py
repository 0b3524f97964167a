"""The redo journal: what a commit will do, durable before it does anything.

Its first line is the SHA-256 of the rest, which is JSON. Renaming it to
`journal` is the mark: before it nothing happened, after it everything will.
"""

import dataclasses
import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from cloche.workspace import layout
from cloche.workspace.effects import Effects
from cloche.workspace.errors import JournalDamaged
from cloche.workspace.jail import open_beneath

Record = TypeVar("Record")


class Action(Enum):
    """One atomic rename between the project and the store of the transaction."""

    ADD = "add"
    """Store to project, where nothing is."""
    SWAP = "swap"
    """Store and project exchange."""
    REMOVE = "remove"
    """Project to store, where nothing is."""


class Kind(Enum):
    """Which way the journal goes."""

    COMMIT = "commit"
    UNDO = "undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What tells one version of an entry from another; a rename changes none of it."""

    inode: int
    modified: int
    size: int
    mode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Fingerprint":
        """Take the fingerprint of what was found."""
        return cls(
            inode=found.st_ino,
            modified=found.st_mtime_ns,
            size=found.st_size,
            mode=found.st_mode,
        )

    def matches(self, found: os.stat_result) -> bool:
        """Tell whether `found` is that version. Of directories only the identity counts."""
        other = Fingerprint.of(found)
        if stat.S_ISDIR(self.mode):
            return self.inode == other.inode
        return self == other


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One rename. It is pending while its source is where the preparation left it."""

    action: Action
    path: str
    """In the project."""
    store: str
    """In the directory of the transaction."""
    incoming: Fingerprint | None = None
    """What enters the project; None for REMOVE."""
    outgoing: Fingerprint | None = None
    """What leaves the project; None for ADD."""
    theirs: bool = False
    """What leaves is a version that the user made meanwhile: it is kept aside, whatever it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The mode and times a directory of the project gets once all renames are done."""

    path: str
    mode: int
    accessed: int
    modified: int
    times: bool = True
    """False: the user changed the directory, so its times are left to the file system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many entries a commit adds, replaces and deletes; a new tree is one."""

    added: int = 0
    replaced: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Everything that replaying needs, and what undoing will need."""

    kind: Kind
    transaction: str
    directory: str
    """The transaction's directory in the state directory."""
    number: int
    """Of the commit, counted from 1; its undo record is named by it."""
    began: int
    """Nanoseconds of the file system's clock at the begin of the transaction."""
    operations: tuple[Operation, ...]
    metadata: tuple[Metadata, ...]
    before: tuple[Metadata, ...] = ()
    """The metadata of directories as they were, for undoing."""
    owned: tuple[str, ...] = ()
    tally: Tally = Tally()


def encode(journal: Journal) -> bytes:
    """Give the bytes of the journal, checksum first."""
    return seal(journal)


def decode(raw: bytes, name: str) -> Journal:
    """Read what `encode` wrote. Raises JournalDamaged; `name` is for its text."""
    return unseal(raw, name, _journal)


def seal(value: object) -> bytes:
    """Give a dataclass as the checksum of its JSON, a line break, and that."""
    body = json.dumps(_plain(value), separators=(",", ":"), sort_keys=True).encode("ascii")
    return hashlib.sha256(body).hexdigest().encode("ascii") + b"\n" + body


def unseal(raw: bytes, name: str, make: Callable[[Any], Record]) -> Record:  # Any: JSON
    """Read what `seal` wrote and give what `make` makes of it. Raises JournalDamaged."""
    digest, _, body = raw.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode("ascii") != digest:
        raise JournalDamaged(name, "its checksum does not fit")
    try:
        return make(json.loads(body))
    except (KeyError, TypeError, ValueError) as error:
        raise JournalDamaged(name, f"it is of another version: {error!r}") from error


def read_sealed(at: int, name: str, make: Callable[[Any], Record]) -> Record | None:  # Any: JSON
    """Read a sealed file of an open directory, None when there is none. Raises JournalDamaged."""
    try:
        descriptor = open_beneath(at, name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return unseal(file.read(), name, make)


def read(directory: int, name: str) -> Journal | None:
    """Read a journal file, None when there is none. Raises JournalDamaged."""
    return read_sealed(directory, name, _journal)


def write_mark(effects: Effects, state: int, journal: Journal) -> None:
    """Make the journal durable, then current. When this returns the commit will happen."""
    if _exists(state, layout.JOURNAL_NEW):
        effects.unlink(state, layout.JOURNAL_NEW)
    descriptor = effects.create(state, layout.JOURNAL_NEW, encode(journal))
    try:
        effects.fsync(descriptor)
    finally:
        os.close(descriptor)
    effects.rename(state, layout.JOURNAL_NEW, state, layout.JOURNAL)
    effects.fsync(state)


def write_sealed(
    effects: Effects, at: int, name: str, value: object, *, durable: bool = True
) -> None:
    """Make a sealed file, whole or not at all, in place of one that is there; `durable` waits for the disk."""
    fresh = f"{name}.new"
    if _exists(at, fresh):
        effects.unlink(at, fresh)
    descriptor = effects.create(at, fresh, seal(value))
    try:
        if durable:
            effects.fsync(descriptor)
    finally:
        os.close(descriptor)
    effects.rename(at, fresh, at, name)
    if durable:
        effects.fsync(at)


def is_marked(state: int) -> bool:
    """Tell whether a journal waits for completion."""
    return _exists(state, layout.JOURNAL)


def _exists(at: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _plain(value: Any) -> Any:  # Any: JSON
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _journal(data: dict[str, Any]) -> Journal:  # Any: JSON
    return Journal(
        kind=Kind(data["kind"]),
        transaction=data["transaction"],
        directory=data["directory"],
        number=data["number"],
        began=data["began"],
        operations=tuple(_operation(item) for item in data["operations"]),
        metadata=tuple(Metadata(**item) for item in data["metadata"]),
        before=tuple(Metadata(**item) for item in data["before"]),
        owned=tuple(data["owned"]),
        tally=Tally(**data["tally"]),
    )


def _operation(data: dict[str, Any]) -> Operation:  # Any: JSON
    return Operation(
        action=Action(data["action"]),
        path=data["path"],
        store=data["store"],
        incoming=_fingerprint(data["incoming"]),
        outgoing=_fingerprint(data["outgoing"]),
        theirs=bool(data.get("theirs")),
    )


def _fingerprint(data: dict[str, Any] | None) -> Fingerprint | None:  # Any: JSON
    return None if data is None else Fingerprint(**data)
