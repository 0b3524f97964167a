"""What of a transaction goes in: a part of it, and who wins where the user changed it too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cloche.model.conflicts import Conflicts
from cloche.model.paths import JailPath

Matcher = Callable[[JailPath], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The terms of one commit; as it stands, everything or nothing."""

    only: Mapping[str, Matcher] = field(default_factory=dict)
    """Patterns as a person wrote them, each with what it means; a directory that one means is taken with all in it. Empty: everything."""
    conflicts: Conflicts = Conflicts.ABORT
    check_reads: bool = False
    """Refuse when anything outside tools' own trees was changed meanwhile: the run may have read it."""


EVERYTHING = Choice()
