"""A transaction's tree as the sandboxes see it: its layers over the project, read through no link."""

import os
import stat
from collections.abc import Iterable, Iterator
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
class Place:
    """A path, and the layers that have something for it: of several, all have directories that merge."""

    path: str
    layers: tuple[int, ...]
    """Topmost first; the first is what is seen."""


class MergedTree:
    """Reads by directory descriptors, which it does not own: the topmost layer first, the project last."""

    def __init__(self, *roots: int) -> None:
        self._roots = roots
        self._base = len(roots) - 1

    def open_file(self, path: JailPath) -> int:
        """Open a regular file for reading. Raises FileNotFoundError when there is none."""
        place = self._find(path.parts)
        if place is None:
            raise FileNotFoundError(2, "no such file", str(path))
        try:
            descriptor = open_beneath(self._roots[place.layers[0]], place.path, _NONBLOCKING)
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

    def status(self, path: str) -> os.stat_result | None:
        """Give the lstat of what is seen at `path`, None when there is nothing."""
        place = self._find(path.split("/") if path else ())
        return None if place is None else status_in(self._roots[place.layers[0]], place.path)

    def merging(self, path: str) -> tuple[int, ...]:
        """Give which roots, counted from 0, make the directory that is seen at `path`; () for none."""
        place = self._find(path.split("/") if path else ())
        if place is None:
            return ()
        found = status_in(self._roots[place.layers[0]], place.path)
        return place.layers if found is not None and stat.S_ISDIR(found.st_mode) else ()

    def is_directory(self, place: Place) -> bool:
        """Tell whether what is seen at `place` is a directory."""
        found = status_in(self._roots[place.layers[0]], place.path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def walk(self, under: str, *, limit: int, exclude: tuple[str, ...]) -> Iterator[Entry]:
        """Give what is at and below `under`; directories named in `exclude` are not entered.

        An excluded name without a slash is passed over wherever it is; one
        with a slash only at that path, "/name" only at the root. Raises TreeTooLarge beyond `limit`.
        """
        passed, start = frozenset(exclude), self.top()
        if under:
            found = self._find(JailPath.parse(under).parts)
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
                if not passed.isdisjoint((name, place.path, f"/{place.path}")):
                    continue
                seen += 1
                if seen > limit:
                    raise TreeTooLarge(under or ".", f"it has more than {limit} entries")
                entry = self._entry(place)
                yield entry
                if entry.kind == "directory":
                    waiting.append(place)

    def _find(self, parts: Iterable[str]) -> Place | None:
        place = self.top()
        for part in parts:
            below = self.child(place, part)
            if below is None:
                return None
            place = below
        return place

    def top(self) -> Place:
        """Give the root."""
        return Place("", tuple(range(len(self._roots))))

    def child(self, parent: Place, name: str) -> Place | None:
        """Give what is seen at `name` in a directory, None when there is nothing."""
        path = join(parent.path, name)
        layers: list[int] = []
        for layer in parent.layers:
            found = status_in(self._roots[layer], path)
            if found is None:
                continue
            if is_whiteout(found):
                break
            if not stat.S_ISDIR(found.st_mode):
                # Below a directory it is hidden by it; on top it is all there is.
                layers = layers or [layer]
                break
            layers.append(layer)
            if layer != self._base and self._is_opaque(layer, path):
                break
        return Place(path, tuple(layers)) if layers else None

    def _children(self, place: Place) -> list[Place]:
        names: set[str] = set()
        for layer in place.layers:
            try:
                directory = open_directory(self._roots[layer], place.path)
            except OSError:
                continue
            try:
                names.update(os.listdir(directory))
            finally:
                os.close(directory)
        children = (self.child(place, name) for name in sorted(names))
        return [child for child in children if child is not None]

    def _entry(self, place: Place) -> Entry:
        descriptor = open_beneath(self._roots[place.layers[0]], place.path, os.O_PATH)
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

    def _is_opaque(self, layer: int, path: str) -> bool:
        descriptor = open_beneath(self._roots[layer], path, os.O_PATH)
        try:
            return os.getxattr(by_descriptor(descriptor), OPAQUE) == b"y"
        except OSError:
            return False
        finally:
            os.close(descriptor)


def status_in(root: int, path: str) -> os.stat_result | None:
    """Give the lstat of `path` below `root`, None when it cannot be had for any reason."""
    try:
        descriptor = open_beneath(root, path, os.O_PATH)
    except OSError:
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
