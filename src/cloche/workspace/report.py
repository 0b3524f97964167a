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
    """Paths the user changed while the commit was applied, with where that version is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """What a recovery found and did."""

    completed: bool = False
    """An interrupted commit was carried to its end."""
    discarded: int = 0
    """Unfinished transactions that were thrown away."""
    late_edits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCommit:
    """One commit that can be taken back."""

    number: int
    transaction: str
    added: int
    replaced: int
    deleted: int
