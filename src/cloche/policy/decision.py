"""What the engine answers: an effect, and every reason for it."""

from dataclasses import dataclass
from enum import Enum


class Effect(Enum):
    """The two answers; there is no third."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one action; `reasons` has one line for each rule that spoke, in policy order."""

    effect: Effect
    reasons: tuple[str, ...]
