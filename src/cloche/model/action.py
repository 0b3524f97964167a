"""What policy judges: one value for each kind of thing a step may try."""

from dataclasses import dataclass

from cloche.errors import InvalidValue
from cloche.model.paths import JailPath
from cloche.model.step import Trust

TYPED = "person"
"""Origin of a connection to a host that a person named for one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Start a program in the sandbox."""

    argv: tuple[str, ...]
    trust: Trust
    typed_by_person: bool = False
    """True for `cloche run`: the command line came from the user, not from a provider."""

    def __post_init__(self) -> None:
        if not self.argv:
            raise InvalidValue("argv", self.argv, "a program and its arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """Let the sandbox see a file of the project."""

    path: JailPath


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """Let a new or changed file of the transaction into the project."""

    path: JailPath


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFile:
    """Let a deletion of the transaction take effect in the project. Not implied by writing."""

    path: JailPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Open connections out of the sandbox to the canonical name `host`, or to all names that "*.domain" means."""

    host: str
    port: int
    origin: str = ""
    """Who asks: `registry:NAME` when learned from the user's own tool configuration, `person` when typed."""


Action = Execute | ReadFile | WriteFile | DeleteFile | Connect
