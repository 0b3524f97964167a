"""Which entries of an upper a partial commit takes: patterns against one walk, whole things whole."""

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from cloche.model.paths import JailPath
from cloche.workspace.choice import Choice
from cloche.workspace.diff import Difference, Role, is_whiteout, walk_base
from cloche.workspace.errors import SelectionRefused
from cloche.workspace.jail import parent_of
from cloche.workspace.screen import shown


@dataclass(slots=True)
class Selection:
    """Made from a first walk; asked during the second."""

    taken: set[str] = field(default_factory=set)
    """Selected, or the new directory of something selected."""

    def takes(self, path: str) -> bool:
        """Tell whether the entry goes in."""
        return path in self.taken


def select(
    walk: Iterable[Difference], base: int, choice: Choice, *, limit: int
) -> Selection | None:
    """Give what `choice.only` selects, None when that is everything. Raises SelectionRefused."""
    if not choice.only:
        return None
    selector = _Selector(base, choice, limit)
    for found in walk:
        selector.look_at(found)
    return selector.end()


class _Selector:
    def __init__(self, base: int, choice: Choice, limit: int) -> None:
        self._base, self._only, self._limit = base, choice.only, limit
        self._found = Selection()
        self._whole: set[str] = set()
        """Selected directories, with which all below them is."""
        self._atomic: dict[str, str] = {}
        """Directories that are all or nothing and not selected, and those inside, each with the outermost."""
        self._new: set[str] = set()
        """Directories that the project does not have."""
        self._hit: set[str] = set()
        self._refusals: dict[str, str] = {}
        """The outermost directory that cannot be taken in part, and a pattern that wanted a part of it."""

    def look_at(self, found: Difference) -> None:
        """Take one entry in, parents before children."""
        hides_nothing = is_whiteout(found.upper) and found.base is None
        if not found.path or hides_nothing:
            return
        parent = parent_of(found.path)
        pattern = self._match(found.path)
        is_hit = pattern is not None or parent in self._whole
        is_directory = stat.S_ISDIR(found.upper.st_mode)
        if is_directory and found.role is not Role.MERGED:
            self._new.add(found.path)
        if is_hit and parent not in self._atomic:
            if is_directory:
                self._whole.add(found.path)
            self._take(found)
        elif parent in self._atomic:
            if is_directory:
                self._atomic[found.path] = self._atomic[parent]
            if pattern is not None:
                self._refusals.setdefault(self._atomic[parent], pattern)
        elif found.base is not None and found.role is not Role.MERGED:
            if is_directory:
                self._atomic[found.path] = found.path
            self._look_below(found)

    def end(self) -> Selection:
        """Give the selection."""
        if self._refusals:
            raise SelectionRefused(
                tuple(
                    f"{shown(path)} is replaced or deleted as a whole, and {shown(pattern)!r} means"
                    f" a part of it: take all of it with {shown(path)!r}"
                    for path, pattern in self._refusals.items()
                )
            )
        unused = [pattern for pattern in self._only if pattern not in self._hit]
        if unused:
            raise SelectionRefused(tuple(f"{shown(p)!r} means no change there is" for p in unused))
        return self._found

    def _take(self, found: Difference) -> None:
        self._found.taken.add(found.path)
        # Up to the new directory that holds it: what is above that is there already.
        path = parent_of(found.path)
        while path in self._new and path not in self._found.taken:
            self._found.taken.add(path)
            path = parent_of(path)

    def _look_below(self, found: Difference) -> None:
        """Find out whether a pattern means something in the project that would go with `found`."""
        assert found.base is not None
        if not stat.S_ISDIR(found.base.st_mode):
            return
        for path, _ in walk_base(self._base, found.path, limit=self._limit):
            if path != found.path and (pattern := self._match(path)) is not None:
                self._refusals.setdefault(found.path, pattern)
                return

    def _match(self, path: str) -> str | None:
        place = JailPath(tuple(path.split("/")))
        matching = [pattern for pattern, matches in self._only.items() if matches(place)]
        self._hit.update(matching)
        return matching[0] if matching else None
