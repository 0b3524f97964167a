"""Writing to an upper layer as overlayfs would: over lower ones, which are never touched."""

import contextlib
import os
import stat
from collections.abc import Iterator

from cloche.workspace.diff import OPAQUE, is_opaque, is_whiteout
from cloche.workspace.effects import Effects
from cloche.workspace.errors import PathBlocked
from cloche.workspace.jail import join, name_of, open_directory, opened, parent_of, status
from cloche.workspace.merged import MergedTree

_OWNER_ALL = 0o700


class Layer:
    """An upper directory over lower ones, by descriptors that it does not own."""

    def __init__(
        self,
        upper: int,
        lowers: tuple[int, ...],
        effects: Effects,
        owner: tuple[int, int] | None = None,
        *,
        usable: int = 0,
    ) -> None:
        """`lowers` are given topmost first. With `owner`, what is made belongs to that user and group; only root may ask for it.

        `usable` is added to the modes of directories that are made like the lower's: who asks for
        it gives them their own in the end.
        """
        self._upper, self._lowers, self._effects, self._owner = upper, lowers, effects, owner
        self._below = MergedTree(*lowers)
        self._usable = usable

    def has_below(self, path: str) -> bool:
        """Tell whether a lower layer has something at `path`, seen or hidden."""
        return any(status(lower, path) is not None for lower in self._lowers)

    @contextlib.contextmanager
    def place_for(self, path: str) -> Iterator[int]:
        """Open the upper's directory for `path`, made like the lower's where it is missing.

        Raises PathBlocked where something that is no directory is in the way.
        """
        at, below = os.dup(self._upper), ""
        hidden = False
        try:
            for part in parent_of(path).split("/") if parent_of(path) else ():
                below = join(below, part)
                found = status(at, part)
                if found is None:
                    base = None if hidden else self._below.status(below)
                    self._copy_up(at, part, base)
                elif not stat.S_ISDIR(found.st_mode) and not is_whiteout(found):
                    raise PathBlocked(path, f"{below!r} is no directory")
                elif is_whiteout(found):
                    self._effects.unlink(at, part)
                    self._make_like(at, part, None)
                    self.hide_below(at, part)
                hidden = hidden or is_opaque(at, part)
                inner = open_directory(at, part)
                os.close(at)
                at = inner
            yield at
        finally:
            os.close(at)

    def shows_below(self, path: str) -> bool:
        """Tell whether the lower layers' `path` would be seen if the upper had nothing there."""
        above = ""
        for part in parent_of(path).split("/") if parent_of(path) else ():
            parent, above = above, join(above, part)
            found = status(self._upper, above)
            if found is None:
                break
            if not stat.S_ISDIR(found.st_mode):
                return False
            with opened(self._upper, parent) as at:
                if is_opaque(at, part):
                    return False
        return self._below.status(path) is not None

    def white_out(self, path: str) -> None:
        """Say that what a lower layer has at `path` is deleted; the upper must have nothing there."""
        with self.place_for(path) as at:
            self._effects.white_out(at, name_of(path))

    def hide_below(self, at: int, name: str) -> None:
        """Make a directory of the upper hide the lower's of the same name instead of merging with it."""
        made = open_directory(at, name)
        try:
            self._effects.mark(made, OPAQUE, b"y")
        finally:
            os.close(made)

    def give(self, descriptor: int) -> None:
        """Make what is open belong to the owner of the project.

        The layer is mounted with the identities of the project's owner, and
        what a sandbox makes there belongs to whom this belongs to.
        """
        if self._owner is not None and self._owner[0] != 0:
            self._effects.chown(descriptor, *self._owner)

    def _copy_up(self, at: int, name: str, base: os.stat_result | None) -> None:
        """Make a directory of the upper for one of the lower, if that is there; it is then no news in `at`."""
        was = os.fstat(at)
        # Its owner may have shut it against changes, which this is none of.
        with self._effects.granted(at, _OWNER_ALL if base is not None else 0):
            self._make_like(at, name, base)
        if base is not None:
            self._effects.utime(at, was.st_atime_ns, was.st_mtime_ns)

    def _make_like(self, at: int, name: str, base: os.stat_result | None) -> None:
        if base is not None and not stat.S_ISDIR(base.st_mode):
            raise PathBlocked(name, "the project has something else there")
        self._effects.mkdir(at, name, 0o755)
        made = open_directory(at, name)
        try:
            self.give(made)
            if base is not None:
                self._effects.chmod(made, stat.S_IMODE(base.st_mode) | self._usable)
                self._effects.utime(made, base.st_atime_ns, base.st_mtime_ns)
        finally:
            os.close(made)
