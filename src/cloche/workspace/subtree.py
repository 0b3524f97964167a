"""What a transaction has of the project: all of it, or what lies below one directory."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cloche.model.paths import JailPath
from cloche.workspace import layout
from cloche.workspace.checkpoint import Checkpoints
from cloche.workspace.discard import discard
from cloche.workspace.effects import Effects
from cloche.workspace.errors import PathBlocked, TransactionEnded
from cloche.workspace.intake import Intake
from cloche.workspace.inventory import digest_project
from cloche.workspace.jail import join, names_in, open_beneath, opened, read_below, status
from cloche.workspace.merged import Entry, MergedTree
from cloche.workspace.stack import Stack
from cloche.workspace.syscalls import birth_ns
from cloche.workspace.usage import measure, measure_private

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_MOST_BUILDS = 32  # twice as many as there can be parts in a run, so none that is used goes


@dataclass(slots=True, kw_only=True)
class Opened:
    """An open transaction, as all who see something of it share it."""

    id: str
    at: int
    """Its directory; -1 when it is over."""
    directory: str
    places: layout.Places
    effects: Effects
    stack: Stack
    intake: Intake
    checkpoints: Checkpoints
    stamp: int
    made: int = 0
    """How many directories were named by number."""
    lock: contextlib.AbstractContextManager[object] = field(default_factory=threading.RLock)
    """Held by whoever makes something here: parts of a project run in threads of their own."""


class Subtree:
    """The part of a transaction below `prefix`, "" for all of it; paths are relative to that.

    Those of disjoint prefixes may be used in different threads at once, each in one.
    """

    def __init__(self, shared: Opened, prefix: str = "") -> None:
        """See what is at `prefix`, a directory of the project. Raises PathBlocked."""
        self._shared, self.prefix = shared, prefix
        self._own_scratch = ""
        if prefix:
            self._insist_on_owner()
            self._own_scratch = f"part-{self._number()}"
            self._make_private("", self._own_scratch)

    def part(self, prefix: str) -> "Subtree":
        """See what is below `prefix` alone. Raises PathBlocked, PathOutsideJail."""
        return Subtree(self._shared, join(self.prefix, str(JailPath.parse(prefix))))

    @property
    def upper(self) -> Path:
        """The layer above what is seen; every overlay of it writes there. Raises PathBlocked."""
        self._alive()
        with self._shared.lock, self._shared.stack.layer.place_for(join(self.prefix, "any")):
            return self._path / layout.UPPER / self.prefix

    @property
    def base(self) -> Path:
        """The user's own, which nothing here changes before the commit."""
        return self._shared.places.project_path / self.prefix

    @property
    def lowers(self) -> tuple[Path, ...]:
        """What lies below `upper` in an overlay, the topmost first, `base` the last. Raises PathBlocked."""
        self._alive()
        stack = self._shared.stack
        roots = (
            *(self._path / name for name in (layout.UPPER, *stack.sealed)),
            self._shared.places.project_path,
        )
        merging = stack.tree.merging(self.prefix)
        if not merging or merging[-1] != len(roots) - 1:
            raise PathBlocked(self.prefix, "the project's directory was replaced or deleted")
        return tuple(roots[number] / self.prefix for number in merging if number)

    @property
    def base_identity(self) -> tuple[int, int]:
        """(device, inode) of `base` in the project that is open here, whatever its path leads to by now.

        Raises PathBlocked, also when it is another user's by now.
        """
        found = self._insist_on_owner()
        return found.st_dev, found.st_ino

    @property
    def checkpoints(self) -> Checkpoints:
        """What can be continued from: of the whole transaction, and only while nobody else writes to it."""
        return self._shared.checkpoints

    def read_base(self, path: str, *, limit: int) -> bytes | None:
        """Give a file as the user left it, whatever the transaction made of it; None as in `read`."""
        self._alive()
        return read_below(self._shared.places.project, join(self.prefix, path), limit)

    def new_work(self) -> Path:
        """Make an overlay work directory; each mount needs one of its own."""
        return self.scratch(f"{layout.WORK}{self._number()}")

    def scratch(self, name: str) -> Path:
        """Make a private directory that ends with the transaction."""
        self._make_private(self._own_scratch, name)
        return self._path / layout.SCRATCH / self._own_scratch / name

    def open_build(self, name: str) -> Path:
        """Give the directory NAME-KEY that lasts from run to run, in place of those of other keys.

        It goes with the project's directory: what another project at the same path once compiled
        would pass for what is newer than sources that keep their old times.
        Of parts that were renamed or are gone nobody tells: beyond thirty-two the one not used for longest goes.
        """
        self._alive()
        state, effects = self._shared.places.state, self._shared.effects
        project = self._shared.places.project
        whose = f"{os.fstat(project).st_ino:x}-{birth_ns(project):x}"
        tool, hyphen, key = name.partition("-")
        kind = f"{layout.BUILD}{tool}{self._mark()}"
        directory = f"{kind}{hyphen}{key}-{whose}"
        with self._shared.lock:
            for other in names_in(state):
                if other.startswith(f"{kind}-") and other != directory:
                    discard(state, other, effects)
            with contextlib.suppress(FileExistsError):
                effects.mkdir(state, directory, 0o700)
            self._give_named(state, directory)
            with opened(state, directory) as descriptor:
                effects.chmod(descriptor, 0o700)  # and so it is the one that changed last
            for other in _long_unused(state):
                discard(state, other, effects)
        return self._shared.places.state_path / directory

    def read(self, path: JailPath, *, limit: int) -> bytes | None:
        """Give a file as the sandboxes see it; None when absent, not regular, or too long."""
        self._alive()
        return self._shared.stack.tree.read(self._whole(path), limit=limit)

    def open_file(self, path: JailPath) -> int:
        """Open a file as the sandboxes see it. Raises FileNotFoundError."""
        self._alive()
        return self._shared.stack.tree.open_file(self._whole(path))

    def names(
        self, under: str = "", *, limit: int = 200_000, exclude: tuple[str, ...] = ()
    ) -> tuple[Entry, ...]:
        """Give what is at and below `under` as the sandboxes see it. Raises TreeTooLarge."""
        self._alive()
        places = tuple(_inside(self.prefix, name) for name in exclude)
        start = join(self.prefix, under) if under else self.prefix
        found = self._shared.stack.tree.walk(start, limit=limit, exclude=places)
        depth = self.prefix.count("/") + 1 if self.prefix else 0
        return tuple(
            replace(entry, path=JailPath(entry.path.parts[depth:])) if depth else entry
            for entry in found
            if len(entry.path.parts) > depth
        )

    def around(self, *, limit: int, exclude: tuple[str, ...] = ()) -> tuple[Entry, ...]:
        """Give what the user has in the project outside of this, by its path there. Raises TreeTooLarge."""
        self._alive()
        if not self.prefix:
            return ()
        mine = JailPath.parse(self.prefix)
        walk = MergedTree(self._shared.places.project).walk("", limit=limit, exclude=exclude)
        return tuple(entry for entry in walk if not entry.path.is_within(mine))

    def put(self, path: JailPath, content: bytes) -> None:
        """Make `path` a file with `content`, mode 0644. Raises PathBlocked."""
        shared = self._shared
        with shared.lock, opened(self._alive(), layout.SCRATCH) as scratch:
            shared.intake.put(str(self._whole(path)), content, scratch)

    def take(self, source: Path, path: JailPath, *, executable: bool = False) -> None:
        """Move a file or a directory from this transaction's scratch to `path`, in place of what is there.

        A file gets the mode 0644, or 0755. Raises PathBlocked.
        """
        shared, mode = self._shared, 0o755 if executable else 0o644
        inside = os.fspath(source.relative_to(self._path / layout.SCRATCH))
        with shared.lock, opened(self._alive(), layout.SCRATCH) as scratch:
            shared.intake.take(inside, str(self._whole(path)), scratch, mode=mode)

    def digest_base(self, hidden: frozenset[str]) -> str:
        """Give a digest of `base` as the user left it; see workspace.inventory."""
        self._alive()
        with opened(self._shared.places.project, self.prefix) as base:
            return digest_project(base, self._shared.stamp, hidden)

    def usage(self) -> tuple[int, int]:
        """Give bytes on disk and entries of what was written here. Raises TreeTooLarge."""
        at = os.dup(self._alive())  # its own, should the transaction end meanwhile
        try:
            if not self.prefix:
                return measure_private(at)
            names = (layout.UPPER, *self._shared.stack.sealed)
            sizes = [self._measure(at, join(name, self.prefix)) for name in names]
            sizes.append(self._measure(at, join(layout.SCRATCH, self._own_scratch)))
            return sum(used for used, _ in sizes), sum(entries for _, entries in sizes)
        finally:
            os.close(at)

    def space(self) -> os.statvfs_result:
        """Give what the file system has left, whatever the modes of the directories above are."""
        self._alive()
        return os.fstatvfs(self._shared.stack.upper)

    @property
    def _path(self) -> Path:
        return self._shared.places.state_path / self._shared.directory

    def _measure(self, at: int, path: str) -> tuple[int, int]:
        try:
            place = open_beneath(at, path, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return 0, 0
        try:
            return measure(place, self._shared.effects)
        finally:
            os.close(place)

    @contextlib.contextmanager
    def _base(self) -> Iterator[int]:
        descriptor = open_beneath(self._shared.places.project, self.prefix, _DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _insist_on_owner(self) -> os.stat_result:
        """Refuse a directory of another user: started by root, its files would be shown as the project's.

        Give the status of `base`, which whoever mounts it is to find again.
        """
        try:
            with self._base() as descriptor:
                found = os.fstat(descriptor)
        except OSError as error:
            raise PathBlocked(self.prefix, error.strerror or str(error)) from error
        if found.st_uid != os.fstat(self._shared.places.project).st_uid:
            raise PathBlocked(
                self.prefix, f"it belongs to user {found.st_uid}, the project does not"
            )
        return found

    def _whole(self, path: JailPath) -> JailPath:
        return JailPath.parse(f"{self.prefix}/{path}") if self.prefix else path

    def _mark(self) -> str:
        """Tell this part's builds from those of others; a tool's name has no such character."""
        digest = hashlib.sha256(os.fsencode(self.prefix)).hexdigest()[:12]
        return f"@{digest}" if self.prefix else ""

    def _number(self) -> int:
        with self._shared.lock:
            self._shared.made += 1
            return self._shared.made

    def _make_private(self, below: str, name: str) -> None:
        with self._shared.lock, opened(self._alive(), join(layout.SCRATCH, below)) as scratch:
            self._shared.effects.mkdir(scratch, name, 0o700)
            self._give_named(scratch, name)

    def _give_named(self, at: int, name: str) -> None:
        with opened(at, name) as descriptor:
            self._shared.stack.layer.give(descriptor)

    def _alive(self) -> int:
        if self._shared.at < 0:
            raise TransactionEnded(self._shared.id, "it was committed or rolled back")
        return self._shared.at


def _inside(prefix: str, name: str) -> str:
    """Give what a walk passes over in the directory `prefix` as one of the whole: names as they are."""
    if "/" not in name:
        return name
    return f"/{join(prefix, name[1:])}" if name.startswith("/") else join(prefix, name)


def _long_unused(state: int) -> list[str]:
    """Give the directories of builds beyond the most that are kept, those that changed last left out."""
    found = []
    for name in names_in(state):
        is_there = status(state, name) if name.startswith(layout.BUILD) else None
        if is_there is not None:
            found.append((is_there.st_ctime_ns, name))
    return [name for _, name in sorted(found, reverse=True)[_MOST_BUILDS:]]
