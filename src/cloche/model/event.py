"""What happened, as it happened: the one stream that the command line, the API and the audit read."""

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cloche.model.diagnostic import Diagnostic
from cloche.model.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. `at` is seconds since the run began, set by the stream.

    `part` is the directory of the part that it is about, where a project has several: then the ids
    of steps begin with it.
    """

    at: float = 0.0
    part: str = ""

    def of_part(self, name: str) -> "Event":
        """Give this event as one of the part `name`."""
        changes: dict[str, Any] = {"part": name}  # Any: a field's own type
        if step := getattr(self, "step", ""):
            changes["step"] = f"{name}/{step}"
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Give the wire form: a "type" in kebab case, then the fields."""
        name = type(self).__name__
        kind = "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")
        return {"type": kind, **{k: _plain(v) for k, v in _fields(self).items()}}


def _fields(value: Any) -> dict[str, Any]:  # Any: any dataclass
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def _plain(value: Any) -> Any:  # Any: JSON
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if dataclasses.is_dataclass(value):
        return {k: _plain(v) for k, v in _fields(value).items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A verb began; `steps` are the titles of what is planned, `parts` what it is done for: (directory, stack)."""

    job: str
    verb: str
    project: str
    steps: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """A step began; `argv` is what runs inside."""

    step: str
    title: str
    argv: tuple[str, ...]
    expected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A step that holds a share of the machine; `pid` is that of its kernel, as the kernel itself sees it."""

    job: str
    step: str
    project: str
    pid: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Event):
    """A step waits for its share of the machine, or a run for its project; told again when that changes.

    `position` counts from 1. `reason` says what it waits for: "memory",
    "sandboxes" (too many run at once), "turn" (there is room, but others came first) or "project":
    another run has a transaction open on it, of the one holder's `pid` (0: not known); no step then,
    and nothing is counted in bytes.
    """

    step: str
    position: int
    reason: str
    wanted_bytes: int
    free_bytes: int
    budget_bytes: int
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Event):
    """A step did not need to run, and why."""

    step: str
    title: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confined(Event):
    """The barriers stand: (feature, support, why) of each, and what was tried, before the program started."""

    step: str
    barriers: tuple[tuple[str, str, str], ...]
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Event):
    """Bytes a step printed. Hostile: escape before showing."""

    step: str
    stream: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How far a step is: `done` of `total` (0 when unknown)."""

    step: str
    done: int
    total: int
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied(Event):
    """Something was refused: which rule, what was tried, the smallest change that would allow it."""

    step: str
    rule: str
    tried: str
    remedy: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed(Event):
    """A connection was allowed, and by which rule."""

    step: str
    rule: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Event):
    """A tool reported a diagnostic."""

    step: str
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageMeasured(Event):
    """What a step consumed; None where the machine could not tell."""

    step: str
    wall_seconds: float
    cpu_seconds: float | None
    memory_peak_bytes: int | None
    processes_peak: int | None
    network_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    """A step ended. `outcome` is ok, failed, limit, warned or killed."""

    step: str
    outcome: str
    exit_status: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewListening(Event):
    """The preview's server accepts connections; it may not answer yet."""

    step: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOpened(Event):
    """The program of a preview runs: what it prints is for the user, what they type goes to it."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewReady(Event):
    """The preview answers at `url`."""

    step: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesCommitted(Event):
    """The transaction is in the project: counts of entries, and what of it is not there, or not alone."""

    transaction: str
    added: int
    replaced: int
    deleted: int
    dropped: tuple[str, ...] = ()
    """Changes that gave way to the user's."""
    kept_aside: tuple[str, ...] = ()
    """Paths of which a version of the user's was displaced, with where that is now."""
    overruled: tuple[str, ...] = ()
    """What the user did that gave way, where there is no version of theirs to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something a person should know."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactMade(Event):
    """A package was written: where, its digest and its size."""

    path: str
    sha256: str
    size: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The verb ended; `code` is the error's code, "" when all went well."""

    outcome: str
    code: str = ""
    message: str = ""
    reasons: tuple[str, ...] = ()
    remedy: str = ""
    seconds: float = 0.0
