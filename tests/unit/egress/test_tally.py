"""Refusals are told once, counted always, bounded, and shown without control characters."""

from cloche.egress.denial import Refused
from cloche.egress.tally import Recorder
from cloche.model.event import Allowed, Denied, Event


def recorder() -> tuple[Recorder, list[Event]]:
    events: list[Event] = []
    return Recorder("step", events.append), events


def test_the_same_refusal_again_is_counted_and_not_repeated() -> None:
    made, events = recorder()
    for _ in range(5):
        made.refused(Refused("network.default", "connect a:1", "allow it"))
    assert events == [
        Denied(step="step", rule="network.default", tried="connect a:1", remedy="allow it")
    ]
    assert made.tally.refusals == 5


def test_a_million_different_ones_are_a_thousand_events() -> None:
    made, events = recorder()
    for number in range(5_000):
        made.refused(Refused("network.default", f"connect {number}"))
    assert len(events) == 1_000
    assert made.tally.refusals == 5_000


def test_what_a_program_chose_is_shown_escaped_and_cut() -> None:
    made, events = recorder()
    made.refused(Refused("network.default", "\x1b[31m\n\u202e\x9b" + "x" * 500))
    (event,) = events
    assert isinstance(event, Denied)
    assert event.tried.isascii()
    assert event.tried.isprintable()
    assert event.tried.startswith("\\x1b[31m\\x0a\\u202e\\x9b")
    assert len(event.tried) < 300


def test_a_permission_is_told_once() -> None:
    made, events = recorder()
    made.allowed("network.allow[0]", "connect a:1")
    made.allowed("network.allow[0]", "connect a:1")
    assert events == [Allowed(step="step", rule="network.allow[0]", what="connect a:1")]
