"""What a person may choose for one commit: how much of it, and who wins where both changed something."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

Selector = Callable[[str], bool]
"""Tells whether a path of the project, without a slash at its end, is meant."""


class Conflicts(Enum):
    """What becomes of an entry that the user changed while the run changed it too."""

    ABORT = "abort"
    """Nothing is committed."""
    THEIRS = "theirs"
    """The user's version stays; a directory that was to be replaced or deleted stays whole."""
    OURS = "ours"
    """The run's version comes in; the user's is kept aside and named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The choices for one commit; silence takes everything, and nothing from the user."""

    conflicts: Conflicts = Conflicts.ABORT
    only: Selector | None = None
    """Takes a part: what it selects, whole trees as one; the rest is thrown away."""
    check_reads: bool = False
    """Abort also where the user changed what the run did not write, and may have read: O(project)."""


EVERYTHING = Choice()


class Disputed:
    """The entries that both sides changed, and which operations that concerns. Pure."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = frozenset(paths)
        self._above = frozenset(
            above for path in paths for above in ancestors(path) if above != path
        )

    def concerns(self, path: str) -> bool:
        """Tell whether an operation at `path` decides over a disputed entry: it, one in it, or one around it."""
        return path in self._above or any(above in self.paths for above in ancestors(path))


def ancestors(path: str) -> tuple[str, ...]:
    """Give `path` and the directories that it is in, the project itself ("") left out unless it is `path`."""
    parts = path.split("/")
    return tuple("/".join(parts[: n + 1]) for n in range(len(parts)))
