"""A stack of uppers over a project, each made by the deeds of one step through a real overlay."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.unit.workspace.building import (
    Deed,
    Seen,
    _escaped,
    build_natively,
    in_child,
    own_namespaces,
    seen,
)

from cloche.workspace.diff import OVERLAY_MARK
from cloche.workspace.effects import Effects
from cloche.workspace.flatten import flatten
from cloche.workspace.merged import MergedTree
from cloche_launch import calls

Whoever = Callable[[Callable[[Path], None]], None]
"""The fixture that has a test done as root, and as an ordinary user."""
Steps = tuple[tuple[Deed, ...], ...]

START: tuple[Deed, ...] = (
    ("mkdir", "d"),
    ("write", "d/old", b"old"),
    ("mkdir", "d/inner"),
    ("write", "d/inner/old", b"old"),
    ("write", "file", b"file"),
    ("symlink", "link", "file"),
)


class Stack:
    """The lowest upper may be a transaction's."""

    def __init__(self, project: Path, home: Path, lowest: Path | None = None) -> None:
        self.project, self._home = project, home
        self._works = 0
        self.uppers: list[Path] = [] if lowest is None else [lowest]
        """Lowest first."""

    def add(self) -> Path:
        """Put an empty upper on top, its own mode and times those of what was the top."""
        upper = self._home / f"layer-{len(self.uppers)}"
        upper.mkdir()
        like = (self.uppers[-1] if self.uppers else self.project).stat()
        upper.chmod(like.st_mode & 0o7777)
        os.utime(upper, ns=(like.st_atime_ns, like.st_mtime_ns))
        self.uppers.append(upper)
        return upper

    def do(self, *deeds: Deed) -> Seen:
        """Do deeds in the topmost upper, and give what a program then sees."""

        def inside() -> Seen:
            own_namespaces()
            with self._mounted() as work:
                build_natively(work, *deeds)
            with self._mounted() as work:
                return build_natively(work)

        return in_child(inside)

    def shown(self) -> Seen:
        """Give what an overlay of the whole stack shows, shut directories too."""

        def inside() -> Seen:
            own_namespaces()  # with every capability in it
            with self._mounted() as work:
                return seen(work)

        return in_child(inside)

    def merged(self) -> dict[str, tuple[Any, ...]]:
        """Give what MergedTree shows: kind, mode, content or target, and mtime of a directory."""
        with self._opened() as (uppers, base):
            tree = MergedTree(*reversed(uppers), base)
            found: dict[str, tuple[Any, ...]] = {"": (os.fstat(uppers[-1]).st_mtime_ns,)}
            for entry in tree.walk("", limit=100_000, exclude=()):
                content = tree.read(entry.path, limit=1 << 20) if entry.kind == "file" else None
                when = 0
                if entry.kind == "directory":
                    status = tree.status(str(entry.path))
                    assert status is not None
                    when = status.st_mtime_ns
                found[str(entry.path)] = (entry.kind, entry.mode, content, entry.target, when)
            return found

    def flatten(self, effects: Effects | None = None) -> Path:
        """Flatten, and give the one upper that is left."""
        with self._opened() as (uppers, base):
            flatten(uppers, base, effects or Effects())
        del self.uppers[1:]
        return self.uppers[0]

    @contextlib.contextmanager
    def _mounted(self) -> Iterator[Path]:
        self._works += 1
        work = self._home / f"work-{os.getpid()}-{self._works}"
        work.mkdir()
        *lowers, upper = (self.project, *self.uppers)
        below = ":".join(_escaped(lower) for lower in reversed(lowers))
        options = f"lowerdir={below},upperdir={_escaped(upper)},workdir={_escaped(work)},userxattr"
        calls.mount("overlay", str(work), "overlay", 0, options)
        try:
            yield work
        finally:
            calls.unmount_detached(str(work))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[tuple[int, ...], int]]:
        with contextlib.ExitStack() as stack:
            opened = []
            for path in (*self.uppers, self.project):
                # As a transaction has them, which opened them before they were shut.
                mode = stat.S_IMODE(path.stat().st_mode)
                is_shut = os.geteuid() != 0 and not mode & stat.S_IRUSR
                if is_shut:
                    path.chmod(mode | stat.S_IRUSR)
                opened.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
                stack.callback(os.close, opened[-1])
                if is_shut:
                    path.chmod(mode)
            yield tuple(opened[:-1]), opened[-1]


def flattened(project: Path, *steps: tuple[Deed, ...]) -> Path:
    """Flatten steps over a project, and see that they show the same."""
    build_natively(project, *START)
    before = seen(project)
    stack = Stack(project, project.parent)
    for deeds in steps:
        stack.add()
        stack.do(*deeds)
    shown, merged = stack.shown(), stack.merged()
    upper = stack.flatten()
    assert stack.shown() == shown
    assert stack.merged() == merged
    assert seen(project) == before
    return upper


def names_of(upper: Path) -> set[str]:
    """Give the paths of all that is in an upper."""
    return set(seen(upper)) - {""}


def marks_of(path: Path) -> set[str]:
    """Give the names of overlayfs's marks that an entry has, without their prefix."""
    names = os.listxattr(path, follow_symlinks=False)
    return {n.removeprefix(OVERLAY_MARK) for n in names if n.startswith(OVERLAY_MARK)}
