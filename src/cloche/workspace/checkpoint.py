"""What a later run can continue from: the layers that finished steps left, and under which keys.

A crash of Cloche leaves them; a crash of the machine may have torn them, since nothing here waits
for the disk. So they are good for the boot in which they were made, and no longer.
"""

import contextlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche.workspace import layout
from cloche.workspace.discard import discard, opened_own
from cloche.workspace.effects import Effects
from cloche.workspace.errors import JournalDamaged, TreeTooLarge
from cloche.workspace.jail import names_in, status
from cloche.workspace.journal import read_sealed, write_sealed
from cloche.workspace.stack import Stack

_MOST_LAYERS = 16  # a file that is in none is looked for in all of them
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Steps that were done."""

    keys: tuple[str, ...]
    """Of each, a digest of everything that decides what it does."""
    layer: str
    """The directory with what it did to the project; "" for nothing."""
    began: int
    """Nanoseconds of the file system's clock: the user's later edits of the same are not in the layer."""
    kept: str
    """What the kernel wants to be told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    boot: str
    points: tuple[Checkpoint, ...]


class Checkpoints:
    """Of one open transaction: those of an earlier one, to be taken up in order, and its own."""

    def __init__(
        self,
        stack: Stack,
        at: int,
        state: int,
        effects: Effects,
        *,
        began: int,
        owned: tuple[str, ...],
    ) -> None:
        """Take the descriptors of the transaction and of the state, which it does not own."""
        self._stack, self._at, self._state, self._effects = stack, at, state, effects
        self._began, self._owned = began, owned
        self._points = read_checkpoints(at)
        self._taken = 0
        self._is_over = False
        """What comes now is in no layer, so nothing after it can be a checkpoint."""

    @property
    def has_more(self) -> bool:
        """Tell whether there are any of an earlier transaction that are not taken up yet."""
        return self._taken < len(self._points)

    def seal(self, keys: tuple[str, ...], kept: str) -> None:
        """Make what was done since the last one a checkpoint.

        After sixteen layers nothing is one any more, nor where a layer cannot be made ready: the file
        system has no extended attributes, or no room for one more, or a program shut what it made.
        """
        self.forget_more()
        if self._is_over or len(self._stack.sealed) >= _MOST_LAYERS:
            self._is_over = True
            return
        layer = ""
        try:
            if self._stack.part():
                layer = f"{layout.LAYER}{len(self._points) + 1}"
        except (OSError, TreeTooLarge):
            self._is_over = True  # what no run can continue from is no reason to fail this one
            return
        if layer:
            self._stack.seal(layer)
        point = Checkpoint(keys=keys, layer=layer, began=self._began, kept=kept)
        self._points = (*self._points, point)
        self._taken = len(self._points)
        write_checkpoints(self._at, self._points, self._effects)

    def take_up(self, chains: tuple[frozenset[str], ...]) -> Checkpoint | None:
        """Make the next one a part of this transaction if it has a key of each of `chains`, in order.

        Else forget it and all after it.

        It is forgotten too when the user has changed since what it changes, and when it is of a time to
        come: the clock was set back, and nobody can tell what is older.
        """
        if not self.has_more:
            return None
        point = self._points[self._taken]
        if (
            len(point.keys) != len(chains)
            or any(key not in chain for key, chain in zip(point.keys, chains, strict=True))
            or point.began > self._began
            or names_in(self._stack.upper)
            or (point.layer and self._stack.is_disturbed(point.layer, point.began, self._owned))
        ):
            self.forget_more()
            return None
        if point.layer:
            self._stack.push(point.layer)
        self._taken += 1
        return point

    def stop(self) -> None:
        """Make nothing that comes now a checkpoint."""
        self._is_over = True

    def forget_more(self) -> None:
        """Throw away those that are not taken up."""
        forgotten = self._points[self._taken :]
        if not forgotten:
            return
        self._points = self._points[: self._taken]
        write_checkpoints(self._at, self._points, self._effects)
        for point in forgotten:
            if point.layer:
                discard(self._at, point.layer, self._effects, into=self._state)

    def end(self) -> None:
        """Make none of them one that can be continued from; what was taken up stays in the stack."""
        self.forget_more()
        with contextlib.suppress(FileNotFoundError):
            self._effects.unlink(self._at, layout.CHECKPOINTS)


def write_checkpoints(at: int, points: tuple[Checkpoint, ...], effects: Effects) -> None:
    """Make `points` those of the transaction that is open here, all or not at all."""
    record = _Record(boot=_boot(), points=points)
    write_sealed(effects, at, layout.CHECKPOINTS, record, durable=False)


def read_checkpoints(at: int) -> tuple[Checkpoint, ...]:
    """Give the checkpoints of a transaction, as far as their layers are there.

    There are none where the record is damaged, or of another boot.
    """
    try:
        record = read_sealed(at, layout.CHECKPOINTS, _read)
    except JournalDamaged:
        return ()
    if record is None or record.boot != _boot():
        return ()
    there = set(names_in(at))
    found: list[Checkpoint] = []
    for point in record.points:
        if point.layer and point.layer not in there:
            break
        found.append(point)
    return tuple(found)


def set_aside(directory: str, state: int, effects: Effects) -> bool:
    """Keep the checkpoints of a transaction that is over, in place of older ones; False: it has none."""
    with opened_own(state, directory, effects) as at:
        points = read_checkpoints(at)
        if not points:
            return False
        layers = {point.layer for point in points}
        for name in names_in(at):
            if name in layers or name == layout.CHECKPOINTS:
                continue
            found = status(at, name)
            if found is not None and stat.S_ISDIR(found.st_mode):
                discard(at, name, effects, into=state)
            else:
                effects.unlink(at, name)
    forget_resumable(state, effects)
    effects.rename(state, directory, state, f"{layout.RESUMABLE}{_id_of(directory)}")
    return True


def find_resumable(state: int, effects: Effects) -> str:
    """Give the directory that a run can continue from, "" when there is none."""
    return next((name for name in _set_aside(state) if _is_good(state, name, effects)), "")


def forget_resumable(state: int, effects: Effects, *, stale_only: bool = False) -> None:
    """Throw away what was set aside, or what of it no run can continue from."""
    for name in _set_aside(state):
        if not stale_only or not _is_good(state, name, effects):
            discard(state, name, effects)


def _set_aside(state: int) -> list[str]:
    return sorted(name for name in names_in(state) if name.startswith(layout.RESUMABLE))


def _is_good(state: int, name: str, effects: Effects) -> bool:
    with opened_own(state, name, effects) as at:
        return bool(read_checkpoints(at))


def _id_of(directory: str) -> str:
    return directory.partition("-")[2]


def _boot() -> str:
    return _BOOT.read_text(encoding="ascii").strip()


def _read(data: dict[str, Any]) -> _Record:  # Any: JSON
    return _Record(
        boot=data["boot"],
        points=tuple(
            Checkpoint(**{**point, "keys": tuple(point["keys"])}) for point in data["points"]
        ),
    )
