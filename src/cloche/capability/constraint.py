"""What a capability is held to: each constraint can only refuse."""

from dataclasses import dataclass
from typing import TypeVar

from cloche.errors import InvalidValue

Item = TypeVar("Item")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Limits of one capability; None is no limit of that kind."""

    expires_at: float | None = None
    """Seconds since the epoch."""
    extensions: frozenset[str] | None = None
    """File name endings with their dot; the empty ending is ""."""
    ports: frozenset[int] | None = None
    max_bytes: int | None = None
    """Of one commit, all its files together; for rights to write."""
    max_file_bytes: int | None = None
    max_entries: int | None = None

    def __post_init__(self) -> None:
        # A time that is not a number would never come.
        if self.expires_at is not None and not self.expires_at > 0:
            raise InvalidValue("expires_at", self.expires_at, "seconds since 1970")
        for name in ("max_bytes", "max_file_bytes", "max_entries"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidValue(name, value, "a number that is not below 0")

    def objections(self, *, name: str, port: int | None, now: float) -> tuple[str, ...]:
        """Give the reasons against using the capability for `name` at the time `now`."""
        found = []
        if self.expires_at is not None and now >= self.expires_at:
            found.append("it has expired")
        last = name.rpartition("/")[2]
        extension = "." + last.rpartition(".")[2] if "." in last.lstrip(".") else ""
        if self.extensions is not None and port is None and extension not in self.extensions:
            found.append(f"it is for {', '.join(sorted(self.extensions)) or 'no'} files")
        if self.ports is not None and port is not None and port not in self.ports:
            found.append(f"it is for ports {', '.join(map(str, sorted(self.ports)))}")
        return tuple(found)

    def narrowed_by(self, other: "Constraints") -> "Constraints":
        """Give the stricter of the two, field by field."""
        return Constraints(
            expires_at=least(self.expires_at, other.expires_at),
            extensions=_both(self.extensions, other.extensions),
            ports=_both(self.ports, other.ports),
            max_bytes=least(self.max_bytes, other.max_bytes),
            max_file_bytes=least(self.max_file_bytes, other.max_file_bytes),
            max_entries=least(self.max_entries, other.max_entries),
        )


def least(one: Number | None, two: Number | None) -> Number | None:
    """Give the smaller ceiling; None is none."""
    known = [value for value in (one, two) if value is not None]
    return min(known, default=None)


def _both(one: frozenset[Item] | None, two: frozenset[Item] | None) -> frozenset[Item] | None:
    if one is None or two is None:
        return two if one is None else one
    return one & two
