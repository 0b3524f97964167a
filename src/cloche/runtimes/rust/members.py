"""Which directories are members of a workspace, by cargo's globs."""

from fnmatch import fnmatchcase

from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.rust.names import joined

_MOST_GLOBS = 50
_MOST_EXCLUDED = 1_000
_SPECIAL = frozenset("*?[")


class Members:
    """The patterns of one list. A star stays within one part of a path."""

    def __init__(self, path: str, patterns: tuple[str, ...]) -> None:
        """Read `patterns` of the manifest at `path`. Raises CannotPlan for too many globs."""
        split = [
            tuple(part for part in pattern.split("/") if part not in ("", ".")) or (".",)
            for pattern in patterns
        ]
        self._plain = frozenset(parts for parts in split if _SPECIAL.isdisjoint("".join(parts)))
        self._globs = tuple(dict.fromkeys(parts for parts in split if parts not in self._plain))
        if len(self._globs) > _MOST_GLOBS:
            raise CannotPlan(path, f"it has more than {_MOST_GLOBS} patterns of members")

    def has(self, directory: str) -> bool:
        """Tell whether `directory` is meant, "" for the root."""
        parts = tuple(directory.split("/")) if directory else (".",)
        return parts in self._plain or any(
            len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))
            for wanted in self._globs
        )


class Excluded:
    """The directories that are no members, with all that is below them."""

    def __init__(self, path: str, paths: tuple[str, ...]) -> None:
        """Read the list of the manifest at `path`. Raises CannotPlan for one too long."""
        if len(paths) > _MOST_EXCLUDED:
            raise CannotPlan(path, f"it excludes more than {_MOST_EXCLUDED} directories")
        places = (joined("", path) for path in paths)
        self._beginnings = tuple(f"{place}/" for place in places if place)

    def has(self, directory: str) -> bool:
        """Tell whether `directory` is one, or below one."""
        return f"{directory}/".startswith(self._beginnings)
