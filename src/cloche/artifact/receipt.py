"""What a receipt says of the run that made a package: values, and their one form as JSON."""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from cloche.errors import InvalidValue
from cloche.model.limits import Limits
from cloche.model.trial import Trial

PREDICATE = "https://example.org/cloche/containment/v1"
STATEMENT = "https://in-toto.io/Statement/v1"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """How far one barrier stood: full, partial or none, and why."""

    name: str
    support: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What a step took; None where the machine could not tell."""

    wall_seconds: float
    cpu_seconds: float | None
    memory_peak_bytes: int | None
    processes_peak: int | None
    network_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReceipt:
    """One step: what ran, since when, behind which barriers, within which limits."""

    step: str
    argv: tuple[str, ...]
    started: str
    """UTC, RFC 3339."""
    network: str
    """Whether it could reach anything: none, registry, hosts or inbound."""
    barriers: tuple[Barrier, ...]
    trials: tuple[Trial, ...]
    limits: Limits
    peaks: Consumption


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something that was refused during the run."""

    step: str
    rule: str
    tried: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A toolchain that steps were given, and the SHA-256 of its program."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Everything of a run up to its package: the predicate of the statement."""

    cloche: str
    kernel: str
    """Release of the machine's kernel, as uname(2) gives it."""
    architecture: str
    policy: str
    """SHA-256 of the policy in its canonical form."""
    signed: str
    """UTC, RFC 3339."""
    steps: tuple[StepReceipt, ...]
    refused: tuple[Refused, ...]
    """The first hundred."""
    refused_count: int
    tools: tuple[Tool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """An in-toto Statement v1 about one file."""

    name: str
    sha256: str
    receipt: Receipt

    def encode(self) -> bytes:
        """Give the one form of this statement."""
        document = {
            "_type": STATEMENT,
            "subject": [{"name": self.name, "digest": {"sha256": self.sha256}}],
            "predicateType": PREDICATE,
            "predicate": as_plain(self.receipt),
        }
        return canonical(document)


def canonical(document: dict[str, Any]) -> bytes:  # Any: JSON
    """Give the one form of a JSON object: sorted, without spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def decode(payload: bytes) -> Statement:
    """Read a statement. Raises ValueError for anything that is not one of ours, in its one form."""
    try:
        document = json.loads(payload)
        (subject,) = document["subject"]
        statement = Statement(
            name=read_as(str, subject["name"]),
            sha256=read_as(str, subject["digest"]["sha256"]),
            receipt=read_as(Receipt, document["predicate"]),
        )
    except (KeyError, TypeError, RecursionError, InvalidValue) as error:
        raise ValueError("a field is missing or of another kind") from error
    # One form only: a key given twice, or one that we do not know, could mean something to others.
    if statement.encode() != payload:
        raise ValueError("it is not in canonical form")
    return statement


def as_plain(value: Any) -> Any:  # Any: a value, and JSON
    """Give a frozen value as JSON holds it."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [as_plain(each) for each in value]
    return value


def read_as(kind: type[Value], value: Any) -> Value:  # Any: JSON
    """Give `value` as a `kind`. Raises TypeError or ValueError where it is none, to any depth."""
    found: Any
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict) or set(value) != set(hints):
            raise TypeError(kind.__name__)
        found = kind(**{name: read_as(hint, value[name]) for name, hint in hints.items()})
    elif typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError("list")
        found = tuple(read_as(typing.get_args(kind)[0], each) for each in value)
    elif isinstance(kind, types.UnionType):  # with None
        found = None if value is None else read_as(typing.get_args(kind)[0], value)
    elif issubclass(kind, Enum):
        found = kind(value)
    elif type(value) is kind or (kind is float and type(value) is int):
        found = value
    else:
        raise TypeError(kind.__name__)
    return typing.cast("Value", found)
