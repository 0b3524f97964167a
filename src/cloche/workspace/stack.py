"""The layers of one transaction: those that checkpoints sealed, and the upper that is written to."""

import contextlib
import os
import stat
from collections.abc import Iterator

from cloche.errors import ClocheError
from cloche.workspace import layout
from cloche.workspace.conflict import conflicts, is_edited
from cloche.workspace.diff import (
    LONGEST,
    OPAQUE,
    Difference,
    Role,
    is_opaque,
    walk_base,
    walk_upper,
)
from cloche.workspace.discard import discard
from cloche.workspace.effects import Effects
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.flatten import attributes_of, flatten
from cloche.workspace.jail import (
    join,
    names_in,
    open_beneath,
    open_directory,
    opened,
    status,
)
from cloche.workspace.layer import Layer
from cloche.workspace.merged import MergedTree

_OWNER_ALL = 0o700
_MOST_ENTRIES = 4_000_000


class Stack:
    """Owns the descriptors of its layers, from a new or an old upper to `close`."""

    def __init__(
        self, at: int, base: int, effects: Effects, owner: tuple[int, int] | None, *, makes: bool
    ) -> None:
        """Open the upper of the transaction that is open at `at`; with `makes`, make it like the project's root."""
        self._at, self._base, self._effects, self._owner = at, base, effects, owner
        self.sealed: tuple[str, ...] = ()
        """Names of the sealed layers, the topmost first."""
        self._lowers: tuple[int, ...] = ()
        self.upper = self._make(base) if makes else open_directory(at, layout.UPPER)
        self._look()

    def close(self) -> None:
        """Close them all."""
        for descriptor in (self.upper, *self._lowers):
            os.close(descriptor)
        self.upper, self._lowers = -1, ()

    def part(self) -> bool:
        """Say of every new directory that it is new, as the user may make one of that name; False: nothing is new.

        To be done before `seal`. Raises OSError and TreeTooLarge where it cannot be said: what the
        upper means is then the same still.
        """
        if not names_in(self.upper) and not self._has_changed_root():
            return False
        for path in self._new_directories():
            self._part_directory(path)
        return True

    def seal(self, name: str) -> None:
        """Make the upper a layer of this name below a new one."""
        self._effects.rename(self._at, layout.UPPER, self._at, name)
        self._lowers = (self.upper, *self._lowers)
        self.sealed = (name, *self.sealed)
        self.upper = self._make(self._lowers[0])
        self._mark_like(self._lowers[0])
        self._look()

    def push(self, name: str) -> None:
        """Put a layer that was sealed before below the upper, which must be empty."""
        layer = open_directory(self._at, name)
        self._lowers = (layer, *self._lowers)
        self.sealed = (name, *self.sealed)
        self._make_like(self.upper, layer)
        self._mark_like(layer)
        self._look()

    def fold(self, state: int) -> None:
        """Make the upper say over the project alone what all layers say. Not to be interrupted and resumed."""
        if not self.sealed:
            return
        flatten((*reversed(self._lowers), self.upper), self._base, self._effects)
        lowest, *others = reversed(self.sealed)
        self.close()
        for name in (layout.UPPER, *others):
            discard(self._at, name, self._effects, into=state)
        self._effects.rename(self._at, lowest, self._at, layout.UPPER)
        self.sealed = ()
        self.upper = open_directory(self._at, layout.UPPER)
        self._look()

    def is_disturbed(self, name: str, stamp: int, owned: tuple[str, ...]) -> bool:
        """Tell whether the user changed since `stamp` what the layer `name` changes too."""
        try:
            with opened(self._at, name) as layer:
                walk = walk_upper(
                    layer,
                    self._base,
                    limit=_MOST_ENTRIES,
                    opener=lambda *_: None,
                    enters_trees=False,
                )
                return any(self._is_disturbed(found, stamp, owned) for found in walk)
        except (OSError, ClocheError):
            return True  # what cannot be looked at cannot be vouched for

    def _is_disturbed(self, found: Difference, stamp: int, owned: tuple[str, ...]) -> bool:
        if found.base is None and any(status(lower, found.path) for lower in self._lowers):
            return False  # copied up from a layer below, not from the project
        if conflicts(found, stamp):
            return True
        if found.role is Role.MERGED or found.base is None or found.path in owned:
            return False
        below = walk_base(self._base, found.path, limit=_MOST_ENTRIES)
        # Itself too, as in a commit: a whole tree of old files may have been moved to this place.
        return any(is_edited(inner, stamp) for _, inner in below)

    def _make(self, like: int) -> int:
        self._effects.mkdir(self._at, layout.UPPER, _OWNER_ALL)
        upper = open_directory(self._at, layout.UPPER)
        if self._owner is not None and self._owner[0] != 0:
            self._effects.chown(upper, *self._owner)
        self._make_like(upper, like)
        return upper

    def _make_like(self, upper: int, like: int) -> None:
        found = os.fstat(like)
        self._effects.chmod(upper, stat.S_IMODE(found.st_mode))
        self._effects.utime(upper, found.st_atime_ns, found.st_mtime_ns)

    def _mark_like(self, layer: int) -> None:
        """Give the upper's root the attributes of the layer's: an overlay shows the topmost alone."""
        for name, value in attributes_of(layer).items():
            self._effects.mark(self.upper, name, value)

    def _has_changed_root(self) -> bool:
        below = (*self._lowers, self._base)[0]
        now, was = os.fstat(self.upper), os.fstat(below)
        given = attributes_of(below) if self._lowers else {}
        return now.st_mode != was.st_mode or attributes_of(self.upper) != given

    def _look(self) -> None:
        lowers = (*self._lowers, self._base)
        self.layer = Layer(self.upper, lowers, self._effects, self._owner)
        self.tree = MergedTree(self.upper, *lowers)

    def _part_directory(self, path: str) -> None:
        descriptor = open_beneath(self.upper, path, os.O_PATH)
        try:
            with self._effects.granted(descriptor, _OWNER_ALL):
                self._effects.mark(descriptor, OPAQUE, b"y")
        finally:
            os.close(descriptor)

    def _new_directories(self) -> Iterator[str]:
        below = MergedTree(*self._lowers, self._base)
        waiting = [below.top()]
        while waiting:
            place = waiting.pop()
            # Without root one may be shut, by a program: it is then no ground to continue from.
            with contextlib.suppress(PermissionError), opened(self.upper, place.path) as directory:
                for name in _directories_in(directory, place.path):
                    lower = below.child(place, name)
                    if lower is None or not below.is_directory(lower):
                        yield join(place.path, name)
                    elif not is_opaque(directory, name):
                        waiting.append(lower)


def _directories_in(directory: int, path: str) -> list[str]:
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    if names and len(os.fsencode(path)) + max(map(len, map(os.fsencode, names))) >= LONGEST:
        # As a walk for a commit: it takes too long, and there will be none.
        raise TreeTooLarge(path[:200], f"it has paths longer than {LONGEST} bytes")
    return names
