"""Any crowd at the budget: it is never exceeded, nobody passes anybody, and everybody is served."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from cloche.kernel.budget import Budget, Claim, Ticket, decide
from cloche.kernel.queue import decode_claim

BUDGET = Budget(memory_bytes=100, sandboxes=4)


@dataclass
class Crowd:
    """Tickets by number, and the numbers in the order in which they were admitted."""

    tickets: dict[int, Ticket] = field(default_factory=dict)
    admitted: list[int] = field(default_factory=list)

    def come(self, memory: int) -> None:
        number = 1 + max(self.tickets, default=0)
        claim = Claim(job=f"j{number}", step="s", project="/p", memory_bytes=memory, pid=1)
        self.tickets[number] = Ticket(number=number, claim=claim, admitted=False)

    def ask(self, chance: int) -> None:
        waiting = [t for t in self.tickets.values() if not t.admitted and t.asking]
        if not waiting:
            return
        mine = waiting[chance % len(waiting)]
        others = tuple(t for t in self.tickets.values() if t is not mine)
        turn = decide(mine, others, BUDGET)
        before = [t for t in waiting if t.number < mine.number]
        assert turn.position == len(before) + 1
        assert bool(turn.reason) is not turn.admitted
        if turn.admitted:
            assert not before
            self.tickets[mine.number] = replace(mine, admitted=True)
            self.admitted.append(mine.number)

    def leave(self, chance: int) -> None:
        if self.tickets:
            del self.tickets[list(self.tickets)[chance % len(self.tickets)]]

    def stop_asking(self, chance: int) -> None:
        if self.tickets:
            number = list(self.tickets)[chance % len(self.tickets)]
            self.tickets[number] = replace(self.tickets[number], asking=False)

    def check(self) -> None:
        holders = [t for t in self.tickets.values() if t.admitted]
        assert sum(t.claim.memory_bytes for t in holders) <= BUDGET.memory_bytes
        assert len(holders) <= BUDGET.sandboxes


ACTS: list[Callable[[Crowd, int], None]] = [
    Crowd.come,
    Crowd.ask,
    Crowd.ask,
    Crowd.leave,
    Crowd.stop_asking,
]
STORIES = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(1, 100)), max_size=60)


@given(STORIES)
def test_never_over_the_budget_and_nobody_is_passed(
    story: list[tuple[Callable[[Crowd, int], None], int]],
) -> None:
    crowd = Crowd()
    for act, number in story:
        act(crowd, number)
        crowd.check()


@given(st.lists(st.integers(1, 100), max_size=20), st.lists(st.integers(0, 100), min_size=1))
def test_everybody_is_served_in_the_order_of_arrival(sizes: list[int], chances: list[int]) -> None:
    crowd = Crowd()
    for size in sizes:
        crowd.come(size)
    for turn in range(len(sizes) ** 2 + len(sizes)):
        for number in range(len(crowd.tickets)):
            crowd.ask(number)
        holders = [t.number for t in crowd.tickets.values() if t.admitted]
        if holders:
            del crowd.tickets[holders[chances[turn % len(chances)] % len(holders)]]
    assert crowd.admitted == list(range(1, len(sizes) + 1))
    assert not crowd.tickets


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 100)), max_size=12))
def test_runs_that_hold_and_ask_for_more_never_wait_for_each_other(
    asked: list[tuple[str, int]],
) -> None:
    held: list[Ticket] = []
    for number, (job, memory) in enumerate(asked, 1):
        claim = Claim(job=job, step="s", project="/p", memory_bytes=memory, pid=1)
        mine = Ticket(number=number, claim=claim, admitted=False)
        if any(ticket.claim.job == job for ticket in held):
            assert decide(mine, tuple(held), BUDGET).admitted
        if decide(mine, tuple(held), BUDGET).admitted:
            held.append(replace(mine, admitted=True))


@given(st.binary(max_size=300))
def test_no_bytes_upset_who_reads_a_ticket(content: bytes) -> None:
    decode_claim(content)
