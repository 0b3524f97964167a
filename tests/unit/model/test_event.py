"""Events as JSON: every kind, whatever bytes are in it."""

import dataclasses
import json

import pytest

from cloche.model import event as events
from cloche.model.diagnostic import Diagnostic, Severity
from cloche.model.event import Event

KINDS = [
    kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)
]
SAMPLES = {"str": "\udcff\x1b[31m", "bytes": b"\xff\0", "int": 7, "float": 1.5, "int | None": None}


def sample(kind: type[Event]) -> Event:
    values = {
        field.name: SAMPLES.get(str(getattr(field.type, "__name__", field.type)), ())
        for field in dataclasses.fields(kind)
    }
    if "diagnostic" in values:
        values["diagnostic"] = Diagnostic(tool="tsc", severity=Severity.ERROR, message="m")
    return kind(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_has_a_wire_form(kind: type[Event]) -> None:
    wire = sample(kind).to_json()
    assert wire["type"] == wire["type"].lower()
    assert set(wire) == {"type", *(field.name for field in dataclasses.fields(kind))}
    assert json.loads(json.dumps(wire)) is not None
