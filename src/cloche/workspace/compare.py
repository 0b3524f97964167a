"""A change as a person looks at it: sizes before and after, what differs inside, lines of text.

Both sides may be hostile: nothing is followed, whatever grows has a ceiling,
and every text that leaves here can be printed.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from cloche.model.paths import JailPath
from cloche.workspace.diff import Kind, is_whiteout, walk_base
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.hunks import Hunks, compare_text
from cloche.workspace.jail import join, open_beneath, open_directory, read_below, status
from cloche.workspace.screen import shown

_MOST_INSIDE = 1000
"""Differences that are listed of one directory that is replaced as a whole."""
_FEW = 50
"""Entries of a new or removed directory from which on they are counted and not listed."""
_MOST_WALKED = 4_000_000
_MOST_READ = 256 << 20
"""Bytes read in all; then times decide whether files of one size differ, and no more lines are shown."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is at a path on one side of a change."""

    kind: str
    """file, directory, link or other."""
    size: int
    """Bytes of the file, or of all the files in the directory."""
    entries: int
    """Of a directory with all in it, itself counted; else 1."""
    target: str = ""
    """Of a link, ready to print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One change with both its sides."""

    kind: Kind
    path: JailPath
    before: Side | None
    after: Side | None
    text: Hunks = field(default_factory=Hunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All of a commit, done or to be done, ordered by path."""

    transaction: str = ""
    """Empty when there is nothing to show."""
    is_held: bool = False
    """Not done yet: it waits for `commit` or `discard`."""
    items: tuple[Compared, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out of `items`, ready to print."""


@dataclass(slots=True, kw_only=True)
class Comparer:
    """Compares paths below two open directories, which it does not own."""

    before: int
    after: int
    text: bool
    _read: int = 0
    _lines: int = 0
    _items: list[Compared] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)

    def compare(
        self, pairs: Iterable[tuple[JailPath, str, str]], *, transaction: str, is_held: bool
    ) -> Comparison:
        """Compare each path, given with where it is below `before` and below `after`."""
        for path, before, after in pairs:
            old, new = _status(self.before, before), _status(self.after, after)
            if _is_directory(old) and _is_directory(new):
                self._compare_inside(path, before, after)
            elif old is not None or new is not None:
                added = self._add(path, before, after, old, new)
                if max(side.entries for side in added) in range(2, _FEW):
                    self._compare_inside(path, before, after)
        return Comparison(
            transaction=transaction,
            is_held=is_held,
            items=tuple(sorted(self._items, key=lambda item: item.path)),
            notes=tuple(self._notes),
        )

    def _compare_inside(self, top: JailPath, before: str, after: str) -> None:
        waiting, listed = [""], 0
        while waiting:
            below = waiting.pop()
            names = _names(self.before, _below(before, below))
            names |= _names(self.after, _below(after, below))
            for name in sorted(names):
                inner = join(below, name)
                old = _status(self.before, _below(before, inner))
                new = _status(self.after, _below(after, inner))
                if _is_directory(old) and _is_directory(new):
                    waiting.append(inner)
                    continue
                one, other = _below(before, inner), _below(after, inner)
                if (old is None and new is None) or self._is_same(one, other, old, new):
                    continue
                listed += 1
                if listed > _MOST_INSIDE:
                    self._notes.append(
                        f"{shown(str(top))}: more than {_MOST_INSIDE} differences inside"
                    )
                    return
                path = JailPath((*top.parts, *inner.split("/")))
                sides = self._add(path, one, other, old, new)
                if max(side.entries for side in sides) in range(2, _FEW):
                    waiting.append(inner)

    def _add(
        self,
        path: JailPath,
        before: str,
        after: str,
        old: os.stat_result | None,
        new: os.stat_result | None,
    ) -> tuple[Side, ...]:
        """Note one change and give its sides."""
        kind = Kind.ADD if old is None else Kind.DELETE if new is None else Kind.REPLACE
        hunks = Hunks()
        if self.text and _is_regular_or_none(old) and _is_regular_or_none(new):
            hunks = compare_text(
                self._content(self.before, before, old),
                self._content(self.after, after, new),
                used=self._lines,
            )
            self._lines += len(hunks.lines)
        one = None if old is None else _side(self.before, before, old)
        other = None if new is None else _side(self.after, after, new)
        self._items.append(Compared(kind=kind, path=path, before=one, after=other, text=hunks))
        return tuple(side for side in (one, other) if side is not None)

    def _content(self, root: int, path: str, found: os.stat_result | None) -> bytes | None:
        """Give what a text is compared by, None when it is too long for that or cannot be read."""
        if found is None:
            return b""
        if self._read > _MOST_READ:
            return None
        content = read_below(root, path, Hunks.LONGEST)
        self._read += len(content or b"")
        return content

    def _is_same(
        self, before: str, after: str, old: os.stat_result | None, new: os.stat_result | None
    ) -> bool:
        if old is None or new is None or old.st_mode != new.st_mode:
            return False
        if stat.S_ISLNK(old.st_mode):
            return _target(self.before, before) == _target(self.after, after)
        if not stat.S_ISREG(old.st_mode) or old.st_size != new.st_size:
            return False
        if self._read + 2 * old.st_size > _MOST_READ:
            return old.st_mtime_ns == new.st_mtime_ns
        self._read += 2 * old.st_size
        return _is_same_content(self.before, before, self.after, after)


def _below(root: str, below: str) -> str:
    """Put `below`, which may be empty, below `root`."""
    return join(root, below) if below else root


def _is_same_content(one: int, path: str, other: int, other_path: str) -> bool:
    try:
        left = open_beneath(one, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        right = open_beneath(other, other_path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        os.close(left)
        return False
    with os.fdopen(left, "rb") as first, os.fdopen(right, "rb") as second:
        while True:
            chunk = first.read(_CHUNK)
            if chunk != second.read(_CHUNK):
                return False
            if not chunk:
                return True


def _side(root: int, path: str, found: os.stat_result) -> Side:
    if stat.S_ISREG(found.st_mode):
        return Side(kind="file", size=found.st_size, entries=1)
    if stat.S_ISLNK(found.st_mode):
        return Side(kind="link", size=0, entries=1, target=shown(_target(root, path)))
    if not stat.S_ISDIR(found.st_mode):
        return Side(kind="other", size=0, entries=1)
    size = entries = 0
    try:
        for _, below in walk_base(root, path, limit=_MOST_WALKED):
            if is_whiteout(below):
                continue
            entries += 1
            size += below.st_size if stat.S_ISREG(below.st_mode) else 0
    except TreeTooLarge:
        pass  # what was counted until then; a commit would not take it either
    return Side(kind="directory", size=size, entries=max(1, entries))


def _status(root: int, path: str) -> os.stat_result | None:
    found = status(root, path)
    return None if found is not None and is_whiteout(found) else found


def _names(root: int, path: str) -> set[str]:
    try:
        directory = open_directory(root, path)
    except OSError:
        return set()
    try:
        return set(os.listdir(directory))
    finally:
        os.close(directory)


def _target(root: int, path: str) -> str:
    descriptor = open_beneath(root, path, os.O_PATH)
    try:
        return os.readlink("", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _is_directory(found: os.stat_result | None) -> bool:
    return found is not None and stat.S_ISDIR(found.st_mode)


def _is_regular_or_none(found: os.stat_result | None) -> bool:
    return found is None or stat.S_ISREG(found.st_mode)
