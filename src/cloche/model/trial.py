"""A deed that was tried inside a sandbox before its program started, and whether it was held."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a trial showed."""

    HELD = "held"
    NOT_HELD = "not held"
    UNABLE = "unable"
    """It could not be tried here, so it shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One deed: the barrier it tries, by its name, and what came of it."""

    name: str
    barrier: str
    verdict: Verdict
    detail: str
