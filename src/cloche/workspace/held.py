"""A transaction that waits for its user: durable, named, and no hindrance to other runs."""

import contextlib
import os
import stat
from dataclasses import dataclass, replace
from typing import Any

from cloche.workspace import layout
from cloche.workspace.alterations import restore
from cloche.workspace.diff import LONGEST
from cloche.workspace.discard import discard
from cloche.workspace.effects import Effects
from cloche.workspace.jail import join, names_in, open_beneath, open_directory, opened
from cloche.workspace.journal import read_sealed, seal

_OWNER_ALL = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """A directory of the upper that its owner may not use as it is, with its true mode."""

    path: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is known of a held transaction."""

    transaction: str
    began: int
    """Nanoseconds of the file system's clock at its begin: later edits of the user's are conflicts."""
    owned: tuple[str, ...]
    verb: str
    when: float
    """Seconds since the epoch at which it was held."""
    hidden: tuple[str, ...]
    """What of the project the run could not see, and so cannot have meant to delete."""
    shut: tuple[Shut, ...] = ()
    replaced: str = ""
    """The transaction that was held before and gave way; told once, when this one is held."""


def find_held(state: int) -> Held | None:
    """Give the held transaction, the newest if a crash left an older one too. Raises JournalDamaged."""
    found = []
    for name in held_names(state):
        with opened(state, name) as directory:
            found.append(read_sealed(directory, layout.HELD_RECORD, _read))
    there = [held for held in found if held is not None]
    return max(there, key=lambda held: (held.when, held.began), default=None)


def held_names(state: int) -> list[str]:
    """Give the names of the directories of held transactions: one, or two after a crash.

    One that is applied and only lacks its last rename is held no more.
    """
    names = [name for name in names_in(state) if name.startswith(layout.HELD)]
    return sorted(name for name in names if not _is_applied(state, name))


def keep(held: Held, directory: str, state: int, effects: Effects) -> Held:
    """Make a transaction's directory a held one, durable before it has that name, and forget others."""
    others = held_names(state)
    with opened(state, directory) as at:
        for name in os.listdir(at):
            if name == layout.SCRATCH:
                discard(at, name, effects, into=state)
        descriptor = effects.create(at, layout.HELD_RECORD, seal(held))
        os.close(descriptor)
    effects.syncfs(state)
    effects.rename(state, directory, state, f"{layout.HELD}{held.transaction}")
    effects.fsync(state)
    for name in others:
        discard(state, name, effects)
    return replace(held, replaced=", ".join(name.removeprefix(layout.HELD) for name in others))


def put_back(held: Held, upper: int, directory: int, effects: Effects) -> None:
    """Make the upper what it was when it was held, whatever a look or a commit did to it since."""
    if os.geteuid() != 0:
        for shut in held.shut:
            # What a commit had put aside comes back with what is in it, opened as it went.
            with contextlib.suppress(FileNotFoundError):
                _set_mode(upper, shut.path, shut.mode | _OWNER_ALL, effects)
    restore(upper, directory, effects)
    if os.geteuid() != 0:
        for shut in reversed(held.shut):
            _set_mode(upper, shut.path, shut.mode, effects)


def open_all(upper: int, modes: dict[str, int], effects: Effects) -> None:
    """Open every directory of an upper for its owner, and note the true modes. For root none is shut."""
    waiting = [] if os.geteuid() == 0 else [""]
    while waiting:
        path = waiting.pop()
        found = _mode_of(upper, path)
        if found & _OWNER_ALL != _OWNER_ALL:
            modes.setdefault(path, found)
            _set_mode(upper, path, found | _OWNER_ALL, effects)
        with opened(upper, path) as directory, os.scandir(directory) as entries:
            for entry in entries:
                below = join(path, entry.name)
                if entry.is_dir(follow_symlinks=False) and len(os.fsencode(below)) < LONGEST:
                    waiting.append(below)


def shut_directories(modes: dict[str, int]) -> tuple[Shut, ...]:
    """Give the true modes, parents before children."""
    return tuple(Shut(path=path, mode=modes[path]) for path in sorted(modes))


def _is_applied(state: int, name: str) -> bool:
    directory = open_directory(state, name)
    try:
        return layout.RECORD in os.listdir(directory)
    finally:
        os.close(directory)


def _mode_of(root: int, path: str) -> int:
    descriptor = open_beneath(root, path, os.O_PATH)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _set_mode(root: int, path: str, mode: int, effects: Effects) -> None:
    descriptor = open_beneath(root, path, os.O_PATH)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            effects.chmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _read(data: dict[str, Any]) -> Held:  # Any: JSON
    return Held(
        transaction=data["transaction"],
        began=data["began"],
        owned=tuple(data["owned"]),
        verb=data["verb"],
        when=data["when"],
        hidden=tuple(data["hidden"]),
        shut=tuple(Shut(**item) for item in data["shut"]),
    )
