"""Every error Cloche raises on purpose, and the one registry of exit statuses.

An error takes facts, composes its own text, and offers one remedy. Modules
declare their own subclasses beside the code that raises them; this base
checks, when the class is made, that no two share a code or an exit status.
The registry is printed by `docs/exit-statuses.md`, which a test compares.

Ranges, so that rooms do not collide: 64-70 general, 71-79 policy and
capability, 80-89 sandbox, platforms and red team, 90-99 workspace, 100-109
egress, kernel (101-102) and artifact (103-104), 110-119 runtimes and kernel,
120-124 artifact.
"""

import re
from typing import ClassVar

_SHOWN = 20  # reasons, in a text for people
_OF_A_KIND = 5
_OWN = re.compile(r"'[^']*'|[0-9]+(?= bytes)")
_REGISTRY: dict[str | int, type["ClocheError"]] = {}


class ClocheError(Exception):
    """Base of every error raised on purpose; anything else is a bug of ours."""

    code: ClassVar[str] = "internal"
    exit_status: ClassVar[int] = 70
    remedy: str = ""

    def __init__(self, headline: str, reasons: tuple[str, ...] = ()) -> None:
        """Hold one line of what happened and, where there are several, every reason for it."""
        shown = "; ".join(cut(reasons))
        super().__init__(f"{headline}: {shown}" if shown else headline)
        self.headline, self.reasons = headline, reasons

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in cls.__dict__ or "exit_status" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} needs a code and an exit status of its own")
        for key in (cls.code, cls.exit_status):
            holder = _REGISTRY.setdefault(key, cls)
            if holder.__qualname__ != cls.__qualname__:
                raise TypeError(f"{cls.__name__} and {holder.__name__} both use {key!r}")

    def in_part(self, name: str) -> None:
        """Say, in front of what happened, in which part of a project that was."""
        self.headline = f"{name}: {self.headline}"
        self.args = (f"{name}: {self}",)

    def explain(self) -> str:
        """Say what went wrong, each reason on a line of its own, and last what to do about it."""
        remedy = (self.remedy,) if self.remedy else ()
        lines = (self.headline, *(f"- {r}" for r in cut(self.reasons)), *remedy)
        # A name may hold a line break: what follows it must not pass for a line of ours.
        return "\n".join(line.replace("\n", "\\x0a") for line in lines)

    def to_json(self) -> dict[str, object]:
        """Give the wire form, beside the events'."""
        return {
            "type": "error",
            "code": self.code,
            "message": self.headline,
            "reasons": list(self.reasons),
            "remedy": self.remedy,
        }


def cut(reasons: tuple[str, ...]) -> tuple[str, ...]:
    """Give what a person can still read: the first of each kind, and how many more there are of it."""
    if len(reasons) <= _SHOWN:
        return reasons
    chosen: list[str] = []
    hidden: dict[str, int] = {}
    seen: dict[str, int] = {}
    for reason in reasons:
        kind = _kind(reason)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= _OF_A_KIND and len(chosen) < _SHOWN:
            chosen.append(reason)
        else:
            hidden[kind] = hidden.get(kind, 0) + 1
    named = sorted(hidden, key=lambda kind: -hidden[kind])[:_SHOWN]
    rest = sum(hidden.values()) - sum(hidden[kind] for kind in named)
    lines = [f"and {hidden[kind]:,} more: {kind}" for kind in named]
    return (*chosen, *lines, *([f"and {rest:,} more of other kinds"] if rest else []))


def _kind(reason: str) -> str:
    """Give what `reason` shares with its like: the path in front, a name and a size are its own."""
    said = reason.partition(": ")[2] or reason
    return _OWN.sub("...", said).partition(" refuses ")[0][:120]


class InvalidValue(ClocheError):
    """A value was refused where it was made; `value` is what was given."""

    code = "invalid-value"
    exit_status = 65
    remedy = "Correct the value; the message names what is accepted."

    def __init__(self, name: str, value: object, accepted: str) -> None:
        super().__init__(f"{name} is {value!r}, accepted: {accepted}")
        self.name, self.value, self.accepted = name, value, accepted


class SystemRefused(ClocheError):
    """The operating system refused what a run needs, such as room on a disk; the project is as it was."""

    code = "system-refused"
    exit_status = 68
    remedy = (
        "Mend what the message names and run again; XDG_STATE_HOME and XDG_CACHE_HOME choose "
        "other places for what Cloche keeps."
    )

    def __init__(self, doing: str, error: OSError) -> None:
        self.where = "" if error.filename is None else f"{error.filename!r}: "
        self.why = error.strerror or str(error)
        super().__init__(f"{doing}: {self.where}{self.why}")


def exit_statuses() -> dict[int, type[ClocheError]]:
    """Give the registry of all error classes imported so far, by exit status."""
    return {key: _REGISTRY[key] for key in sorted(k for k in _REGISTRY if isinstance(k, int))}
