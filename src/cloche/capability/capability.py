"""A capability: a right to one kind of thing, within constraints."""

from dataclasses import dataclass
from enum import Enum

from cloche.capability.constraint import Constraints


class Resource(Enum):
    """What a right is about."""

    EXECUTE = "execute"
    READ = "file.read"
    WRITE = "file.write"
    DELETE = "file.delete"
    CONNECT = "connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """The right to `resource` where `pattern` matches: a path glob, a program or a host name.

    "**" matches everything; otherwise a trailing "/**" means all below a
    directory, and any other text means itself.
    """

    resource: Resource
    pattern: str
    constraints: Constraints = Constraints()  # noqa: RUF009 - frozen, so it may be shared

    @staticmethod
    def full_set() -> "tuple[Capability, ...]":
        """Give every right without constraint: the policy alone decides. For the user's own runs."""
        return tuple(Capability(resource=resource, pattern="**") for resource in Resource)

    def covers(self, text: str) -> bool:
        """Tell whether the thing called `text` is meant."""
        if self.pattern == "**":
            return True
        if self.pattern.endswith("/**"):
            return text.startswith(self.pattern[:-2])
        return text == self.pattern
