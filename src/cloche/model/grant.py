"""The proof that policy and capability agreed to a step."""

from dataclasses import dataclass

from cloche.model.hosts import HostRule
from cloche.model.limits import Limits
from cloche.model.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A step that may run, and within what. Made by `kernel.gate` and nowhere else.

    Python cannot forbid construction; `tests/structure` forbids the call.
    """

    step: Step
    limits: Limits
    hosts: tuple[HostRule, ...] = ()
    """What the step may connect to; empty means nothing."""
    hidden: tuple[str, ...] = ()
    """Project-relative files that the policy hides from the sandbox; each exists."""
    required: tuple[str, ...] = ()
    """Names of Features without which the step must not start, beside the built-in ones."""
    reasons: tuple[str, ...] = ()
    """One line for each rule that spoke, in policy order."""
