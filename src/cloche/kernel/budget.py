"""How much of the machine all sandboxes of a user may hold at once, and whose turn it is. Pure.

First come, first served: nobody passes whoever waits in front, so that a large
step is not starved by small ones. A run that holds a share already is let
through at once, over the budget if need be: it would otherwise wait for itself,
or two such runs for each other. Nobody waits while holding, hence no deadlock.
"""

from dataclasses import dataclass

from cloche.errors import InvalidValue
from cloche.policy.schema import BudgetRules

_SHARE = 0.8  # the rest is for the kernel, for Cloche itself and for the user's other programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the ceilings of all admitted steps may add up to, and how many steps that may be."""

    memory_bytes: int
    sandboxes: int

    def __post_init__(self) -> None:
        for name in ("memory_bytes", "sandboxes"):
            if getattr(self, name) <= 0:
                raise InvalidValue(name, getattr(self, name), "a number above 0")


def budget_of(rules: BudgetRules, machine_bytes: int, at_most: int | None = None) -> Budget:
    """Give the budget that `rules` set on a machine with `machine_bytes` of memory.

    Silence means four fifths of it. More than the machine has cannot be shared
    out; `at_most` is a caller's own ceiling, which lowers and never raises.
    """
    share = int(machine_bytes * _SHARE) if rules.memory_bytes is None else rules.memory_bytes
    memory = min(share, machine_bytes, *(() if at_most is None else (at_most,)))
    return Budget(memory_bytes=memory, sandboxes=rules.sandboxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a step asks for, and what others are told about it."""

    job: str
    """The run it is a step of."""
    step: str
    project: str
    memory_bytes: int
    """Its ceiling: what it may come to use is reserved, not what it uses."""
    pid: int
    """Of the kernel that runs it."""

    def __post_init__(self) -> None:
        if self.memory_bytes <= 0:
            raise InvalidValue("memory_bytes", self.memory_bytes, "a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A claim with its place in the order of arrival."""

    number: int
    claim: Claim
    admitted: bool
    asking: bool = True
    """Whether its kernel still asks for its turn: one that is stopped (Ctrl-Z) holds up nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What was decided about one ticket. `reason` is that of the event `Waiting`, "" when admitted."""

    admitted: bool
    position: int
    """Its place among those who wait, from 1."""
    reason: str
    free_bytes: int
    holders: tuple[Ticket, ...]


def decide(mine: Ticket, others: tuple[Ticket, ...], budget: Budget) -> Turn:
    """Say whether `mine`, which waits, may run beside `others`. Pure.

    A claim above the whole budget is admitted when nobody holds anything: the
    caller has lowered it, or another kernel of the user has another budget.
    """
    holders = tuple(sorted((t for t in others if t.admitted), key=_order))
    ahead = sum(1 for t in others if not t.admitted and t.asking and _order(t) < _order(mine))
    free = max(0, budget.memory_bytes - sum(ticket.claim.memory_bytes for ticket in holders))
    holds_already = any(ticket.claim.job == mine.claim.job for ticket in holders)
    lacking = _lacking(mine, holders, free, budget)
    admitted = holds_already or (not ahead and not lacking)
    return Turn(
        admitted=admitted,
        position=ahead + 1,
        reason="" if admitted else lacking or "turn",
        free_bytes=free,
        holders=holders,
    )


def _lacking(mine: Ticket, holders: tuple[Ticket, ...], free: int, budget: Budget) -> str:
    if not holders:
        return ""
    if len(holders) >= budget.sandboxes:
        return "sandboxes"
    return "memory" if mine.claim.memory_bytes > free else ""


def _order(ticket: Ticket) -> int:
    return ticket.number
