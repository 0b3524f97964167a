"""Where versions of the user's go that a commit displaced: nothing ever clears `late-<tx>`.

A file gets a second name there at once. A directory can have one name only,
and undoing the commit needs it in the undo record: there is a link to it
until the record is forgotten, and then the directory itself, in the same place.
"""

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import Any

from cloche.workspace import layout
from cloche.workspace.effects import Effects
from cloche.workspace.jail import name_of, open_beneath, opened, parent_of, status
from cloche.workspace.journal import Journal, Kind, read_sealed, write_sealed

_OWNER_ALL = 0o700
_LONGEST_NAME = 200  # bytes, of the 255 that a name may have


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A directory of the user's in an undo record."""

    store: str
    slot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelved:
    shelf: str
    """Its name in the state directory."""
    kept: tuple[_Kept, ...]


def keep_aside(
    displaced: list[tuple[str, str]],
    directory: int,
    journal: Journal,
    places: layout.Places,
    effects: Effects,
) -> tuple[str, ...]:
    """Give each version of the user's that came out a place on the shelf; doing it again changes nothing.

    `displaced` has paths in the project and in the transaction's directory.
    """
    if not displaced:
        return ()
    name = f"{layout.LATE}{journal.transaction}"
    if journal.kind is Kind.UNDO:
        name += "-undone"  # the commit's own shelf may be full of the same slots
    with contextlib.suppress(FileExistsError):
        effects.mkdir(places.state, name, 0o700)
    told, directories = [], []
    with opened(places.state, name) as shelf:
        for number, (path, store) in enumerate(displaced):
            slot = _slot(number, path)
            told.append(f"{path} (your version: {places.state_path / name / slot})")
            with (
                opened(directory, parent_of(store)) as source,
                contextlib.suppress(FileExistsError),
            ):
                found = status(source, name_of(store))
                if found is None:
                    continue
                if not stat.S_ISDIR(found.st_mode):
                    effects.link(source, name_of(store), shelf, slot)
                else:
                    directories.append(_Kept(store=store, slot=slot))
                    record = layout.undo_name(journal.number)
                    effects.symlink(shelf, slot, f"../{record}/{store}")
    if directories:
        write_sealed(effects, directory, layout.KEPT, _Shelved(shelf=name, kept=tuple(directories)))
    return tuple(told)


def drop_places(directory: int, places: layout.Places, effects: Effects) -> None:
    """Forget the links to directories that an undo has put back into the project."""
    shelved = read_sealed(directory, layout.KEPT, _read)
    if shelved is None:
        return
    with contextlib.suppress(FileNotFoundError), opened(places.state, shelved.shelf) as shelf:
        for kept in shelved.kept:
            found = status(shelf, kept.slot)
            if found is not None and stat.S_ISLNK(found.st_mode):
                effects.unlink(shelf, kept.slot)
    effects.unlink(directory, layout.KEPT)


def move_to_shelf(number: int, places: layout.Places, effects: Effects) -> None:
    """Move what is the user's out of an undo record that is about to be forgotten."""
    with opened(places.state, layout.undo_name(number)) as record:
        shelved = read_sealed(record, layout.KEPT, _read)
        if shelved is None:
            return
        with opened(places.state, shelved.shelf) as shelf:
            for kept in shelved.kept:
                with (
                    contextlib.suppress(FileNotFoundError),
                    opened(record, parent_of(kept.store)) as source,
                ):
                    _move(source, name_of(kept.store), shelf, kept.slot, effects)
            effects.fsync(shelf)


def _move(source: int, name: str, shelf: int, slot: str, effects: Effects) -> None:
    descriptor = open_beneath(source, name, os.O_PATH)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return  # the link, exchanged by an earlier pass
        with effects.granted(descriptor, _OWNER_ALL):
            try:
                effects.exchange(source, name, shelf, slot)
            except FileNotFoundError:  # the user removed the link
                effects.place(source, name, shelf, slot)
    finally:
        os.close(descriptor)


def _slot(number: int, path: str) -> str:
    name = os.fsencode(name_of(path))[:_LONGEST_NAME]
    return f"{number}-{os.fsdecode(name)}"


def _read(data: dict[str, Any]) -> _Shelved:  # Any: JSON
    return _Shelved(shelf=data["shelf"], kept=tuple(_Kept(**item) for item in data["kept"]))
