"""Whose turn it is: a sum that is kept, an order that is kept, and nobody waits for himself."""

from dataclasses import replace

import pytest

from cloche.errors import InvalidValue
from cloche.kernel.budget import Budget, Claim, Ticket, budget_of, decide
from cloche.policy.schema import BudgetRules

GIB = 1 << 30
BUDGET = Budget(memory_bytes=4 * GIB, sandboxes=3)


def ticket(number: int, gib: float, *, job: str = "", admitted: bool = False) -> Ticket:
    claim = Claim(
        job=job or f"job-{number}", step="s", project="/p", memory_bytes=int(gib * GIB), pid=1
    )
    return Ticket(number=number, claim=claim, admitted=admitted)


def test_what_fits_beside_the_others_is_admitted() -> None:
    turn = decide(ticket(2, 1), (ticket(1, 3, admitted=True),), BUDGET)
    assert (turn.admitted, turn.reason, turn.free_bytes) == (True, "", GIB)


def test_what_does_not_fit_waits_and_is_told_who_holds_the_memory() -> None:
    holder = ticket(1, 3, admitted=True)
    turn = decide(ticket(2, 2), (holder,), BUDGET)
    assert (turn.admitted, turn.position, turn.reason) == (False, 1, "memory")
    assert turn.holders == (holder,)


def test_a_small_one_does_not_pass_a_large_one_that_came_first() -> None:
    turn = decide(ticket(3, 1), (ticket(1, 3, admitted=True), ticket(2, 2)), BUDGET)
    assert (turn.admitted, turn.position, turn.reason) == (False, 2, "turn")


def test_one_whose_kernel_is_stopped_holds_up_nobody() -> None:
    stopped = replace(ticket(2, 2), asking=False)
    turn = decide(ticket(3, 1), (ticket(1, 3, admitted=True), stopped), BUDGET)
    assert (turn.admitted, turn.position) == (True, 1)


def test_who_comes_later_does_not_count() -> None:
    turn = decide(ticket(2, 1), (ticket(1, 3, admitted=True), ticket(3, 4)), BUDGET)
    assert (turn.admitted, turn.position) == (True, 1)


def test_the_number_of_sandboxes_has_a_ceiling_too() -> None:
    others = tuple(ticket(number, 0.1, admitted=True) for number in (1, 2, 3))
    assert decide(ticket(4, 0.1), others, BUDGET).reason == "sandboxes"


def test_a_run_never_waits_for_itself() -> None:
    preview = ticket(1, 4, job="mine", admitted=True)
    turn = decide(ticket(3, 2, job="mine"), (preview, ticket(2, 1)), BUDGET)
    assert turn.admitted


def test_more_than_the_whole_budget_runs_alone() -> None:
    # Another kernel of the user may have been given a larger one.
    assert decide(ticket(1, 9), (), BUDGET).admitted
    assert not decide(ticket(2, 9), (ticket(1, 0.1, admitted=True),), BUDGET).admitted


@pytest.mark.parametrize(
    ("rules", "machine", "at_most", "memory"),
    [
        (BudgetRules(), 10 * GIB, None, 8 * GIB),
        (BudgetRules(memory_bytes=2 * GIB), 10 * GIB, None, 2 * GIB),
        (BudgetRules(memory_bytes=64 * GIB), 10 * GIB, None, 10 * GIB),
        (BudgetRules(), 10 * GIB, GIB, GIB),
        (BudgetRules(memory_bytes=2 * GIB), 10 * GIB, 5 * GIB, 2 * GIB),
    ],
)
def test_the_budget_is_a_share_of_the_machine_unless_a_stricter_word_is_said(
    rules: BudgetRules, machine: int, at_most: int | None, memory: int
) -> None:
    assert budget_of(rules, machine, at_most).memory_bytes == memory


def test_a_budget_of_nothing_is_none() -> None:
    with pytest.raises(InvalidValue):
        budget_of(BudgetRules(), 10 * GIB, 0)
