"""Globs over paths, part by part: `*` and `?` within a part, `**` for any number of parts."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from cloche.errors import InvalidValue
from cloche.model.names import folded
from cloche.model.paths import JailPath

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of project paths. Case counts. A directory's pattern does not mean its content.

    >>> Glob("**/.git/**").matches(JailPath.parse("vendor/x/.git/hooks/pre-commit"))
    True
    >>> Glob("*.pem").matches(JailPath.parse("keys/a.pem"))
    False
    >>> Glob("**/*.pem").matches(JailPath.parse("a.pem"))
    True
    """

    text: str

    def __post_init__(self) -> None:
        parts = self.text.split("/")
        if not self.text or any(part in ("", ".", "..") for part in parts) or "\0" in self.text:
            raise InvalidValue("glob", self.text, "a relative pattern without empty, . or .. parts")
        if any("**" in part and part != "**" for part in parts):
            raise InvalidValue("glob", self.text, '"**" as a whole part')

    @property
    def folded(self) -> "Glob":
        """The pattern as it reads where case does not count."""
        return _folded(self)

    def matches(self, path: JailPath) -> bool:
        """Tell whether `path` is meant."""
        return self.text == "**" or _matches(tuple(self.text.split("/")), path.parts)


class GlobSet:
    """Many patterns, asked at once: most are passed over for the end, or a part, that they name.

    A commit asks of each entry that it brings in, so what is passed over must cost nothing.
    """

    def __init__(self, globs: tuple[Glob, ...]) -> None:
        self._globs = globs
        self._naming: dict[str, list[int]] = {}
        """By a part that must be there."""
        self._ending: dict[str, list[int]] = {}
        """By the pattern of the last part, where that is wild."""
        self._always: list[int] = []
        for number, glob in enumerate(globs):
            parts = glob.text.split("/")
            named = [part for part in parts if not _WILD.intersection(part)]
            if parts[-1] != "**" and _WILD.intersection(parts[-1]):
                self._ending.setdefault(parts[-1], []).append(number)
            elif named:
                self._naming.setdefault(named[-1], []).append(number)
            else:
                self._always.append(number)

    def matching(self, path: JailPath) -> tuple[tuple[int, Glob], ...]:
        """Give the patterns that mean `path`, each with its number, in order."""
        maybe = [*self._always]
        for part in path.parts:
            if part in self._naming:
                maybe += self._naming[part]
        for ending, numbers in self._ending.items():
            if fnmatchcase(path.name, ending):
                maybe += numbers
        if not maybe:
            return ()
        chosen = sorted(set(maybe))
        return tuple((n, self._globs[n]) for n in chosen if self._globs[n].matches(path))


@lru_cache(maxsize=4096)
def _folded(glob: Glob) -> Glob:
    try:
        return Glob("/".join(map(folded, glob.text.split("/"))))
    except InvalidValue:
        return glob  # it has characters that fold to nothing, or to dots: no name is that


@lru_cache(maxsize=65_536)
def _matches(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Match by the table of prefixes: linear in both, whatever the number of "**"."""
    reached = {0}
    for part in parts:
        reached = {
            step
            for place in _skipped(pattern, reached)
            if place < len(pattern)
            for step in _advance(pattern, place, part)
        }
        if not reached:
            return False
    return len(pattern) in _skipped(pattern, reached)


def _advance(pattern: tuple[str, ...], place: int, part: str) -> tuple[int, ...]:
    if pattern[place] == "**":
        return (place,)
    return (place + 1,) if fnmatchcase(part, pattern[place]) else ()


def _skipped(pattern: tuple[str, ...], places: set[int]) -> set[int]:
    """Add the places reached when a "**" stands for no part at all."""
    found = set(places)
    for place in sorted(places):
        step = place
        while step < len(pattern) and pattern[step] == "**":
            step += 1
            found.add(step)
    return found
