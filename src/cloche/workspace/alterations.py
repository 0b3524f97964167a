"""What a commit changes in its own upper before the mark, and how that is put back.

overlayfs's marks must not enter the project, and what is left out of a new
directory must not move with it. A transaction that is held has to be the same
after a commit that did not come to pass, so what is changed is written down first.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cloche.workspace import layout
from cloche.workspace.effects import Effects
from cloche.workspace.jail import by_descriptor, name_of, open_beneath, opened, parent_of, status
from cloche.workspace.journal import read_sealed, write_sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One extended attribute of an entry of the upper."""

    path: str
    name: str
    value: str
    """In hexadecimal."""
    mode: int
    """Of the entry, which is opened for the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What the sealed file says."""

    marks: tuple[Mark, ...]
    pruned: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Alterations:
    """Gathered by the preparation, carried out when nothing speaks against the commit any more."""

    marks: list[tuple[str, str]] = field(default_factory=list)
    """Path in the upper, and the name of a mark to remove."""
    pruned: list[str] = field(default_factory=list)
    """Paths of the upper to put aside: left out of a new directory, or whiteouts that hide nothing."""

    def write_down(self, upper: int, directory: int, effects: Effects) -> None:
        """Make what `restore` needs durable; before the first of them is carried out."""
        written = _Written(
            marks=tuple(_mark_of(upper, path, name) for path, name in self.marks),
            pruned=tuple(self.pruned),
        )
        write_sealed(effects, directory, layout.ALTERED, written)

    def carry_out(self, upper: int, directory: int, effects: Effects) -> None:
        """Change the upper."""
        for path, name in self.marks:
            with _writable(upper, path, effects) as descriptor:
                try:
                    effects.unmark(descriptor, name)
                except OSError as error:
                    if error.errno != errno.ENODATA:  # another name of the same file had it first
                        raise
        if not self.pruned:
            return
        with _slots(directory, effects) as slots:
            for number, path in enumerate(self.pruned):
                with opened(upper, parent_of(path)) as parent:
                    effects.place(parent, name_of(path), slots, str(number))


def restore(upper: int, directory: int, effects: Effects) -> None:
    """Put back what a commit that did not happen had changed; harmless when there is nothing.

    Raises JournalDamaged.
    """
    written = read_sealed(directory, layout.ALTERED, _read)
    if written is None:
        return
    if written.pruned:
        with _slots(directory, effects) as slots:
            for number, path in enumerate(written.pruned):
                if status(slots, str(number)) is not None:
                    with opened(upper, parent_of(path)) as parent:
                        effects.place(slots, str(number), parent, name_of(path))
    for mark in written.marks:
        with _writable(upper, mark.path, effects) as descriptor:
            effects.mark(descriptor, mark.name, bytes.fromhex(mark.value))
        with _opened_entry(upper, mark.path) as descriptor:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != mark.mode:
                effects.chmod(descriptor, mark.mode)
    effects.unlink(directory, layout.ALTERED)


@contextlib.contextmanager
def _slots(directory: int, effects: Effects) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        effects.mkdir(directory, layout.PRUNED, 0o700)
    with opened(directory, layout.PRUNED) as slots:
        yield slots


@contextlib.contextmanager
def _writable(upper: int, path: str, effects: Effects) -> Iterator[int]:
    """Open an entry whose marks can be changed until the block ends.

    Without root a file's mark goes only where its owner may write to it, xattr(7): one of mode
    0444 or 0000 is opened for that long. Directories have been opened by the walk.
    """
    with _opened_entry(upper, path) as descriptor:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        with effects.granted(descriptor, stat.S_IWUSR if is_file else 0):
            yield descriptor


def _mark_of(upper: int, path: str, name: str) -> Mark:
    with _opened_entry(upper, path) as descriptor:
        try:
            value = os.getxattr(by_descriptor(descriptor), name)
        except OSError:
            # Not readable without root where the file is not; all but `opaque` are empty there.
            value = b""
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    return Mark(path=path, name=name, value=value.hex(), mode=mode)


@contextlib.contextmanager
def _opened_entry(upper: int, path: str) -> Iterator[int]:
    descriptor = open_beneath(upper, path, os.O_PATH)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(data: dict[str, Any]) -> _Written:  # Any: JSON
    return _Written(
        marks=tuple(Mark(**item) for item in data["marks"]), pruned=tuple(data["pruned"])
    )
