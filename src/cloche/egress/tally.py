"""What a sandbox sent and received, and what it was refused: counted, bounded, told once."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cloche.egress.denial import Refused
from cloche.model.event import Allowed, Denied, Event

_MOST_DENIALS = 1_000
_LONGEST = 200


@dataclass(slots=True)
class Tally:
    """Totals of one sandbox."""

    total_bytes: int = 0
    connections: int = 0
    by_host: dict[str, int] = field(default_factory=dict)
    refusals: int = 0


class Recorder:
    """Turns what happens into events: the same refusal again is counted, not repeated."""

    def __init__(self, step: str, emit: Callable[[Event], None]) -> None:
        self.tally = Tally()
        self._step = step
        self._emit = emit
        self._denied: dict[tuple[str, str], int] = {}
        self._allowed: set[tuple[str, str]] = set()

    def refused(self, refusal: Refused) -> None:
        """Record a refusal; the first of its kind becomes an event."""
        self.tally.refusals += 1
        key = (refusal.rule, _plain(refusal.tried))
        self._denied[key] = self._denied.get(key, 0) + 1
        # A hostile program may try millions of targets: beyond a bound they are only counted.
        if self._denied[key] == 1 and len(self._denied) <= _MOST_DENIALS:
            self._emit(
                Denied(step=self._step, rule=key[0], tried=key[1], remedy=_plain(refusal.remedy))
            )
        elif len(self._denied) > _MOST_DENIALS:
            del self._denied[key]

    def allowed(self, rule: str, what: str) -> None:
        """Record a permission; the first of its kind becomes an event."""
        if (rule, what) not in self._allowed and len(self._allowed) < _MOST_DENIALS:
            self._allowed.add((rule, what))
            self._emit(Allowed(step=self._step, rule=rule, what=what))

    def moved(self, host: str, count: int) -> None:
        """Count bytes to or from a host."""
        self.tally.total_bytes += count
        self.tally.by_host[host] = self.tally.by_host.get(host, 0) + count


def _plain(text: str) -> str:
    """Cut and escape what a program inside chose."""
    return text[:_LONGEST].encode("ascii", "backslashreplace").decode().translate(_CONTROLS)


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
