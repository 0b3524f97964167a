"""What commits and recoveries tell their callers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A commit, or an undo, that is complete."""

    transaction: str
    added: int = 0
    replaced: int = 0
    deleted: int = 0
    late_edits: tuple[str, ...] = ()
    """Paths of which the commit displaced a version of the user's, with where that is kept."""
    left_out: int = 0
    """Changes that a partial commit did not select; they are thrown away."""
    dropped: tuple[str, ...] = ()
    """Changes that gave way to the user's."""
    overruled: tuple[str, ...] = ()
    """What the user did that gave way, where there is no version of theirs to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """What a recovery found and did."""

    completed: bool = False
    """An interrupted commit was carried to its end."""
    discarded: int = 0
    """Unfinished transactions that were thrown away."""
    held: int = 0
    """Transactions that wait for their user, untouched: 0 or 1."""
    resumable: bool = False
    """What steps of a failed run did is kept, for the next to continue from."""
    late_edits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCommit:
    """One commit that can be taken back."""

    number: int
    transaction: str
    added: int
    replaced: int
    deleted: int
