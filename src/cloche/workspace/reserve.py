"""Room that is kept for the way from a commit's mark to its end, and given back when the disk is full there."""

import contextlib
import os
import secrets

from cloche.workspace.effects import Effects
from cloche.workspace.jail import names_in

_NAME = "reserve-"
_FILES = 6
"""One for each file or directory that the way makes, so that inodes are kept too; twice the ones of today."""
_BYTES = 8192


def keep_room(state: int, effects: Effects) -> None:
    """Make what is missing of the reserve. Raises OSError on a full disk: before the mark, with nothing changed."""
    there = {name for name in names_in(state) if name.startswith(_NAME)}
    for name in (f"{_NAME}{number}" for number in range(_FILES)):
        if name not in there:
            # By chance, so that no file system stores it in less.
            descriptor = effects.create(state, name, secrets.token_bytes(_BYTES))
            os.close(descriptor)


def give_room(state: int, effects: Effects) -> None:
    """Delete the reserve: there is room for a few small files then."""
    for number in range(_FILES):
        with contextlib.suppress(OSError):
            effects.unlink(state, f"{_NAME}{number}")
