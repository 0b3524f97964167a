"""A copy of a layered tree, for a program that can be given no overlay, and what the program made of it.

The copy is plain files, reflinked where the file system can. When the program
is gone, what differs from the copy as it was made is moved into the upper
layer, in overlayfs's own signs: from there on nothing knows the difference.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloche.workspace.diff import LONGEST
from cloche.workspace.discard import remove_tree
from cloche.workspace.effects import Effects
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.finish import touch_after
from cloche.workspace.jail import join, name_of, open_beneath, opened, status
from cloche.workspace.layer import Layer
from cloche.workspace.merged import Entry, MergedTree

_MOST_ENTRIES = 1_000_000
_CHUNK = 64 << 20
_RESERVE = 20  # a twentieth of the file system stays free, as kernel.quota has it
_USABLE = 0o700
_BLOCK = 512  # the unit of st_blocks, stat(2)
_CLOCK = ".clock"


@dataclass(frozen=True, slots=True)
class _Known:
    """What tells whether an entry is still the one that was copied: no program can set a ctime back."""

    inode: int
    changed: int
    mode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_Known":
        return cls(found.st_ino, found.st_ctime_ns, found.st_mode)


_Waiting = tuple[str, Mapping[str, _Known]]
"""A directory to be folded, and what was known of its entries."""


class Replica:
    """One copy, from `make` to `fold`; for one thread at a time."""

    def __init__(
        self,
        *,
        upper: Path,
        lowers: tuple[Path, ...],
        home: Path,
        hidden: tuple[str, ...] = (),
        identity: tuple[int, int] | None = None,
        keeps: bool = True,
        effects: Effects | None = None,
    ) -> None:
        """Say what is copied and where: `home` is an empty private directory.

        `lowers` are given topmost first. `hidden` are paths that the copy shows empty and shut.
        `identity` is the (device, inode) that the last of `lowers` must have. Without `keeps`
        what the program writes is thrown away.
        """
        self.place = home / "tree"
        """What the program is given."""
        self._upper_path, self._lower_paths, self._home = upper, lowers, home
        self._hidden, self._identity, self._keeps = frozenset(hidden), identity, keeps
        self._effects = effects or Effects()
        self._known: dict[str, dict[str, _Known]] = {}
        self.size = (0, 0)
        """Bytes on disk and entries of the copy as it was made."""

    def make(self) -> None:
        """Copy. Raises TreeTooLarge, and OSError as the disk gives it."""
        with _open(self._upper_path) as upper, _open_all(self._lower_paths) as lowers:
            found = os.fstat(lowers[-1])
            if self._identity is not None and (found.st_dev, found.st_ino) != self._identity:
                raise FileNotFoundError(
                    2, "another directory than it was", str(self._lower_paths[-1])
                )
            top = os.fstat(upper)
            with _open(self._home) as home:
                self._effects.mkdir(home, self.place.name, _USABLE)
            with _open(self.place) as place:
                self._copy_all(MergedTree(upper, *lowers), place)
                self._effects.chmod(place, stat.S_IMODE(top.st_mode) | _USABLE)
                if os.geteuid() == 0 != found.st_uid:
                    self._give(place, (found.st_uid, found.st_gid))
        self._remember()
        with _open(self._home) as home:
            # A change within the tick of the clock in which a file was copied would not show.
            touch_after(home, _CLOCK, self._effects)

    def fold(self) -> None:
        """Move what differs into the upper layer. Nothing of the program may run any more.

        Raises TreeTooLarge, PathBlocked; what was moved until then stays moved.
        """
        if not self._keeps:
            return
        with (
            _open(self._upper_path) as upper,
            _open_all(self._lower_paths) as lowers,
            _open(self.place) as place,
        ):
            of = os.fstat(lowers[-1])
            owner = (of.st_uid, of.st_gid) if os.geteuid() == 0 else None
            layer = Layer(upper, lowers, self._effects, owner, usable=_USABLE)
            # Parents first. Their modes are given back when nothing is put into them any more.
            modes = {"": stat.S_IMODE(os.fstat(upper).st_mode)}
            waiting: list[_Waiting] = [("", self._known.get("", {}))]
            while waiting:
                path, before = waiting.pop()
                self._set_mode(upper, path, modes[path] | _USABLE)
                waiting += self._fold_directory(path, before, layer, upper, place, modes)
            for path, mode in reversed(modes.items()):
                self._set_mode(upper, path, mode)

    def remove(self) -> None:
        """Delete the copy; what resists goes with the directory it is in."""
        with _open(self._home) as home, contextlib.suppress(OSError):
            remove_tree(home, self.place.name, self._effects)

    def _copy_all(self, tree: MergedTree, place: int) -> None:
        directories: list[Entry] = []
        for entry in tree.walk("", limit=_MOST_ENTRIES, exclude=()):
            path = str(entry.path)
            if any(path.startswith(f"{hidden}/") for hidden in self._hidden):
                continue
            with opened(place, path.rpartition("/")[0]) as parent:
                name = name_of(path)
                if path in self._hidden:
                    self._cover(parent, name, entry)
                elif entry.kind == "directory":
                    self._effects.mkdir(parent, name, _USABLE)
                    directories.append(entry)
                elif entry.kind == "link":
                    self._effects.symlink(parent, name, entry.target)
                elif entry.kind == "file":
                    self._copy(tree.open_file(entry.path), parent, name)
        for entry in reversed(directories):
            if entry.mode != _USABLE:
                with opened(place, str(entry.path)) as directory:
                    self._effects.chmod(directory, entry.mode)

    def _give(self, place: int, owner: tuple[int, int]) -> None:
        """Make the copy the user's whose project it is: root shows them as the program's own."""
        self._effects.chown(place, *owner)
        for entry in MergedTree(place).walk("", limit=_MOST_ENTRIES, exclude=()):
            descriptor = open_beneath(place, str(entry.path), os.O_PATH)
            try:
                self._effects.chown(descriptor, *owner)
            finally:
                os.close(descriptor)

    def _cover(self, parent: int, name: str, entry: Entry) -> None:
        """Show something shut and empty in place of what is hidden."""
        if entry.kind == "directory":
            self._effects.mkdir(parent, name, 0)
        else:
            os.close(self._effects.create(parent, name, b"", 0))

    def _copy(self, source: int, parent: int, name: str) -> None:
        try:
            found = os.fstat(source)
            target = self._effects.create(parent, name, b"")
            try:
                os.ftruncate(target, found.st_size)
                for start, end in _written(source, found.st_size):
                    self._copy_range(source, target, start, end)
                self._effects.chmod(target, stat.S_IMODE(found.st_mode) & 0o777)
                self._effects.utime(target, found.st_atime_ns, found.st_mtime_ns)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _copy_range(self, source: int, target: int, start: int, end: int) -> None:
        """Copy what lies between two offsets, unless that would leave the disk nearly full."""
        while start < end:
            state = os.fstatvfs(target)
            if state.f_bavail < state.f_blocks // _RESERVE:
                raise TreeTooLarge(str(self._lower_paths[-1]), "a copy of it would fill the disk")
            count = os.copy_file_range(source, target, min(end - start, _CHUNK), start, start)
            if not count:
                return  # it was cut meanwhile
            start += count

    def _remember(self) -> None:
        with _open(self.place) as place:
            waiting = [""]
            while waiting:
                path = waiting.pop()
                entries = self._entries(place, path, stays_open=False)
                self._known[path] = {n: _Known.of(found) for n, found in entries.items()}
                used = sum(found.st_blocks * _BLOCK for found in entries.values())
                self.size = self.size[0] + used, self.size[1] + len(entries)
                waiting += [
                    below
                    for name, found in entries.items()
                    if stat.S_ISDIR(found.st_mode)
                    and (below := join(path, name)) not in self._hidden
                ]

    def _fold_directory(
        self,
        path: str,
        before: Mapping[str, _Known],
        layer: Layer,
        upper: int,
        place: int,
        modes: dict[str, int],
    ) -> list[_Waiting]:
        """Fold the entries of one directory; give the directories below that are to be looked at.

        `modes` gets what these are to have in the end.
        """
        if len(os.fsencode(path)) > LONGEST:
            raise TreeTooLarge(path[:200], f"it has paths longer than {LONGEST} bytes")
        now = self._entries(place, path, stays_open=True)
        further: list[_Waiting] = []
        for name in before.keys() - now.keys():
            below = join(path, name)
            if below not in self._hidden:
                self._clear(upper, below)
                if layer.shows_below(below):
                    layer.white_out(below)
        for name, found in now.items():
            below, known = join(path, name), before.get(name)
            if below in self._hidden:
                continue
            if stat.S_ISDIR(found.st_mode):
                modes[below] = stat.S_IMODE(found.st_mode)
                further.append(self._fold_subdirectory(below, found, known, layer, upper))
            elif known is None or known != _Known.of(found):
                self._clear(upper, below)
                with opened(place, path) as source, layer.place_for(below) as target:
                    self._effects.rename(source, name, target, name)
        return further

    def _fold_subdirectory(
        self, path: str, found: os.stat_result, known: _Known | None, layer: Layer, upper: int
    ) -> _Waiting:
        """See to a directory itself; give it with what was known of its entries."""
        if known is not None and known.inode == found.st_ino and stat.S_ISDIR(known.mode):
            if known.mode != found.st_mode:
                with layer.place_for(f"{path}/."):
                    pass  # it is there now, and gets its mode with the others
            return path, self._known.get(path, {})
        self._clear(upper, path)
        hides = layer.shows_below(path)
        with layer.place_for(path) as at:
            self._effects.mkdir(at, name_of(path), _USABLE)
            with opened(at, name_of(path)) as made:
                layer.give(made)
            if hides:
                layer.hide_below(at, name_of(path))
        return path, {}

    def _set_mode(self, upper: int, path: str, mode: int) -> None:
        """Give a directory of the upper a mode, if there is one."""
        found = status(upper, path)
        if found is None or not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) == mode:
            return
        descriptor = open_beneath(upper, path, os.O_PATH | os.O_DIRECTORY)
        try:
            self._effects.chmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def _clear(self, upper: int, path: str) -> None:
        """Remove what the upper has at `path`."""
        found = status(upper, path)
        if found is None:
            return
        with opened(upper, path.rpartition("/")[0]) as parent:
            if stat.S_ISDIR(found.st_mode):
                remove_tree(parent, name_of(path), self._effects)
            else:
                self._effects.unlink(parent, name_of(path))

    def _entries(self, root: int, path: str, *, stays_open: bool) -> dict[str, os.stat_result]:
        """Give what a directory of the copy holds, also of one that is shut to its owner."""
        closed = open_beneath(root, path, os.O_PATH | os.O_DIRECTORY)
        try:
            mode = stat.S_IMODE(os.fstat(closed).st_mode)
            shut = mode & _USABLE != _USABLE
            if shut:
                self._effects.chmod(closed, mode | _USABLE)
            with opened(closed, "") as directory:
                found = {
                    name: os.stat(name, dir_fd=directory, follow_symlinks=False)
                    for name in os.listdir(directory)
                }
            if shut and not stays_open:
                self._effects.chmod(closed, mode)
        finally:
            os.close(closed)
        return found


def _written(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has data, without its holes: a copy of those would be real. lseek(2)."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
            end = min(os.lseek(source, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole up to the end, or the file was cut meanwhile
            raise
        yield start, end


@contextlib.contextmanager
def _open(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _open_all(paths: tuple[Path, ...]) -> Iterator[tuple[int, ...]]:
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(_open(path)) for path in paths)
