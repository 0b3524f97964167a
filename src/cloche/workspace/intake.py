"""What the kernel itself puts into an upper: files that it writes, and what a step left in a scratch."""

import contextlib
import os
import secrets
import stat

from cloche.workspace.diff import OPAQUE
from cloche.workspace.effects import Effects
from cloche.workspace.jail import name_of, open_beneath, opened, parent_of
from cloche.workspace.stack import Stack


class Intake:
    """Of one transaction, whose descriptors it does not own."""

    def __init__(self, stack: Stack, effects: Effects, owner: tuple[int, int] | None) -> None:
        """Take whom files are given to, where we may choose."""
        self._stack, self._effects, self._owner = stack, effects, owner

    def put(self, path: str, content: bytes, scratch: int) -> None:
        """Make `path` a file with `content`, mode 0644; what is there goes to `scratch`. Raises PathBlocked."""
        with self._stack.layer.place_for(path) as parent:
            self._move_aside(parent, path, scratch)
            descriptor = self._effects.create(parent, name_of(path), content)
            try:
                self._effects.chmod(descriptor, 0o644)
                self._stack.layer.give(descriptor)
            finally:
                os.close(descriptor)

    def take(self, inside: str, path: str, scratch: int, *, mode: int) -> None:
        """Move `inside`, of `scratch`, to `path`, in place of what is there; `mode` is a file's. Raises PathBlocked."""
        with self._stack.layer.place_for(path) as parent:
            moved_aside = self._move_aside(parent, path, scratch)
            with opened(scratch, parent_of(inside)) as origin:
                self._effects.rename(origin, name_of(inside), parent, name_of(path))
            taken = open_beneath(parent, name_of(path), os.O_PATH)
            try:
                self._own(taken, mode)
                if stat.S_ISDIR(os.fstat(taken).st_mode) and (
                    moved_aside or self._stack.layer.has_below(path)
                ):
                    # Without it overlayfs would merge the tree with the project's.
                    self._effects.mark(taken, OPAQUE, b"y")
            finally:
                os.close(taken)

    def _own(self, descriptor: int, mode: int) -> None:
        found = os.fstat(descriptor)
        if self._owner is not None and found.st_uid == 0 != self._owner[0]:
            self._effects.chown(descriptor, *self._owner)
        if stat.S_ISREG(found.st_mode):
            self._effects.chmod(descriptor, mode)

    def _move_aside(self, parent: int, path: str, scratch: int) -> bool:
        """Free a name of the upper; a whiteout or an old tree goes with the scratch."""
        with contextlib.suppress(FileNotFoundError):
            aside = f"aside-{secrets.token_hex(6)}"
            self._effects.rename(parent, name_of(path), scratch, aside)
            return True
        return False
