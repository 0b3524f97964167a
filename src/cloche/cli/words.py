"""What several showers say of an event in the same words."""

from cloche.model.event import ChangesCommitted, Waiting
from cloche.model.limits import size_in_words


def counts_in_words(event: ChangesCommitted) -> str:
    """Say what a commit changed, and its id."""
    if not event.added + event.replaced + event.deleted:
        return "nothing in the project changed"
    return (
        f"committed {event.transaction}: {event.added} added, "
        f"{event.replaced} replaced, {event.deleted} deleted"
    )


def waiting_in_words(event: Waiting) -> str:
    """Say what a run waits for, and who has it."""
    if event.reason == "project":
        pid = event.holders[0].pid
        holder = f"process {pid}" if pid else "another process"
        return (
            f"waiting for the project, which {holder} works on: {_ordinal(event.position)} in line"
        )
    what = {"memory": "memory", "sandboxes": "a free sandbox"}.get(event.reason, "its turn")
    held = "; ".join(
        f"{h.step} of {h.project} holds {size_in_words(h.memory_bytes)}" for h in event.holders
    )
    return (
        f"waiting for {what}: {_ordinal(event.position)} in the queue, "
        f"{size_in_words(event.wanted_bytes)} wanted, {size_in_words(event.free_bytes)} free of "
        f"{size_in_words(event.budget_bytes)}{f'; {held}' if held else ''}"
    )


def _ordinal(number: int) -> str:
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
