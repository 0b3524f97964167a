"""Does anyone among these capabilities allow it? Silence is denial here too."""

from dataclasses import dataclass

from cloche.capability.capability import Capability, Resource
from cloche.capability.constraint import Constraints
from cloche.model.action import Action, Connect, DeleteFile, Execute, ReadFile, WriteFile


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, with the reasons for or against."""

    allowed: bool
    reasons: tuple[str, ...]


def check(capabilities: tuple[Capability, ...], action: Action, now: float) -> Verdict:
    """Judge `action` by what the caller holds. One capability without objection suffices."""
    resource, name, port = _subject(action)
    objections: list[str] = []
    for capability in capabilities:
        if capability.resource is not resource or not capability.covers(name):
            continue
        against = capability.constraints.objections(name=name, port=port, now=now)
        label = f"capability {resource.value} {capability.pattern}"
        if not against:
            return Verdict(allowed=True, reasons=(f"{label} allows {name}",))
        objections += [f"{label}: {reason}" for reason in against]
    if not objections:
        objections = [f"no capability {resource.value} covers {name}"]
    return Verdict(allowed=False, reasons=tuple(objections))


def commit_constraints(capabilities: tuple[Capability, ...]) -> Constraints:
    """Give the ceilings of a commit: the least that any right to write among these names.

    A commit is one, so what it brings in cannot be shared out between rights.
    """
    held = Constraints()
    for capability in capabilities:
        if capability.resource is Resource.WRITE:
            held = held.narrowed_by(capability.constraints)
    return held


def _subject(action: Action) -> tuple[Resource, str, int | None]:
    match action:
        case Execute(argv=argv):
            return Resource.EXECUTE, argv[0] if argv else "", None
        case ReadFile(path=path):
            return Resource.READ, str(path), None
        case WriteFile(path=path):
            return Resource.WRITE, str(path), None
        case DeleteFile(path=path):
            return Resource.DELETE, str(path), None
        case Connect(host=host, port=port):
            return Resource.CONNECT, host, port
