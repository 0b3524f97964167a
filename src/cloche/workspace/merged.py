"""A transaction's tree as the sandboxes see it: the upper over the project, read through no link."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from cloche.model.paths import JailPath
from cloche.workspace.diff import OPAQUE, is_whiteout
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.jail import by_descriptor, join, open_beneath, open_directory

_NONBLOCKING = os.O_RDONLY | os.O_NONBLOCK  # a fifo must not make us wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the merged tree; `kind` is file, directory, link or other."""

    path: JailPath
    kind: str
    size: int
    mode: int
    target: str = ""
    """Of a link."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A path, and which of the two layers have something for it."""

    path: str
    upper: bool
    base: bool


class MergedTree:
    """Reads by two directory descriptors, which it does not own."""

    def __init__(self, upper: int, base: int) -> None:
        self._upper, self._base = upper, base

    def open_file(self, path: JailPath) -> int:
        """Open a regular file for reading. Raises FileNotFoundError when there is none."""
        place = self._find(path)
        if place is None:
            raise FileNotFoundError(2, "no such file", str(path))
        root = self._upper if place.upper else self._base
        try:
            descriptor = open_beneath(root, place.path, _NONBLOCKING)
        except OSError as error:
            raise FileNotFoundError(2, "no regular file", str(path)) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileNotFoundError(2, "no regular file", str(path))
        return descriptor

    def read(self, path: JailPath, *, limit: int) -> bytes | None:
        """Give a whole file; None when absent, not regular, or longer than `limit` bytes."""
        try:
            descriptor = self.open_file(path)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1)
        return content if len(content) <= limit else None

    def walk(self, under: str, *, limit: int, exclude: tuple[str, ...]) -> Iterator[Entry]:
        """Give what is at and below `under`; directories named in `exclude` are not entered.

        An excluded name without a slash is passed over wherever it is; one
        with a slash only at that path. Raises TreeTooLarge beyond `limit`.
        """
        start = _Place("", upper=True, base=True)
        if under:
            found = self._find(JailPath.parse(under))
            if found is None:
                return
            start = found
            first = self._entry(start)
            yield first
            if first.kind != "directory":
                return
        waiting, seen = [start], 0
        while waiting:
            for place in self._children(waiting.pop()):
                name = place.path.rpartition("/")[2]
                if name in exclude or place.path in exclude:
                    continue
                seen += 1
                if seen > limit:
                    raise TreeTooLarge(under or ".", f"it has more than {limit} entries")
                entry = self._entry(place)
                yield entry
                if entry.kind == "directory":
                    waiting.append(place)

    def _find(self, path: JailPath) -> _Place | None:
        place = _Place("", upper=True, base=True)
        for part in path.parts:
            below = self._child(place, part)
            if below is None:
                return None
            place = below
        return place

    def _child(self, parent: _Place, name: str) -> _Place | None:
        path = join(parent.path, name)
        above = self._status(self._upper, path) if parent.upper else None
        below = self._status(self._base, path) if parent.base else None
        if above is not None and is_whiteout(above):
            return None
        if above is None:
            return _Place(path, upper=False, base=True) if below is not None else None
        merges = (
            stat.S_ISDIR(above.st_mode)
            and below is not None
            and stat.S_ISDIR(below.st_mode)
            and not self._is_opaque(path)
        )
        return _Place(path, upper=True, base=merges)

    def _children(self, place: _Place) -> list[_Place]:
        names: set[str] = set()
        for root, present in ((self._upper, place.upper), (self._base, place.base)):
            if not present:
                continue
            try:
                directory = open_directory(root, place.path)
            except OSError:
                continue
            try:
                names.update(os.listdir(directory))
            finally:
                os.close(directory)
        children = (self._child(place, name) for name in sorted(names))
        return [child for child in children if child is not None]

    def _entry(self, place: _Place) -> Entry:
        root = self._upper if place.upper else self._base
        descriptor = open_beneath(root, place.path, os.O_PATH)
        try:
            found = os.fstat(descriptor)
            is_link = stat.S_ISLNK(found.st_mode)
            target = os.readlink("", dir_fd=descriptor) if is_link else ""
        finally:
            os.close(descriptor)
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
        return Entry(
            path=JailPath.parse(place.path),
            kind=kinds.get(stat.S_IFMT(found.st_mode), "other"),
            size=found.st_size,
            mode=stat.S_IMODE(found.st_mode),
            target=target,
        )

    def _is_opaque(self, path: str) -> bool:
        descriptor = open_beneath(self._upper, path, os.O_PATH)
        try:
            return os.getxattr(by_descriptor(descriptor), OPAQUE) == b"y"
        except OSError:
            return False
        finally:
            os.close(descriptor)

    @staticmethod
    def _status(root: int, path: str) -> os.stat_result | None:
        try:
            descriptor = open_beneath(root, path, os.O_PATH)
        except OSError:
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)
