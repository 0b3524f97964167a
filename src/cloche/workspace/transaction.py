"""One transaction: a private layer over the project, thrown away or made the project whole."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cloche.model.conflicts import Conflicts
from cloche.model.paths import JailPath
from cloche.workspace import journal as journals
from cloche.workspace import layout
from cloche.workspace.apply import insist_on_moving
from cloche.workspace.checkpoint import Checkpoints, set_aside
from cloche.workspace.choice import EVERYTHING, Choice
from cloche.workspace.compare import Comparer, Comparison
from cloche.workspace.diff import Changes, has_more_than
from cloche.workspace.discard import discard
from cloche.workspace.effects import Effects
from cloche.workspace.errors import StateUnavailable, TransactionEnded
from cloche.workspace.finish import finish, refusal, touch_after, undo_numbers
from cloche.workspace.held import Held, keep, open_all, put_back, shut_directories
from cloche.workspace.intake import Intake
from cloche.workspace.inventory import digest_project
from cloche.workspace.jail import (
    names_in,
    open_directory,
    opened,
    read_below,
)
from cloche.workspace.journal import Journal, Kind
from cloche.workspace.merged import Entry
from cloche.workspace.prepare import Preparer
from cloche.workspace.report import Committed
from cloche.workspace.reserve import keep_room
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.stack import Stack
from cloche.workspace.syscalls import birth_ns
from cloche.workspace.usage import measure_private

_MANY = 1 << 62
_WORTH_A_THREAD = 1000  # entries; below, two syncs take longer than one and the scan
_LOOKING = ScreenRules(
    max_bytes=_MANY,
    max_file_bytes=_MANY,
    max_entries=4_000_000,
    may_write=allow_all,
    may_delete=allow_all,
)


class Transaction:
    """Open from its making by a Workspace to `commit` or `rollback`; for one thread at a time."""

    def __init__(
        self,
        places: layout.Places,
        effects: Effects,
        owned: tuple[str, ...],
        *,
        held: Held | None = None,
        resumed: str = "",
    ) -> None:
        """Begin, or take up what is held, or begin with the checkpoints of one that failed."""
        self.id = held.transaction if held else secrets.token_hex(6)
        self._places, self._effects, self._owned = places, effects, owned
        self._is_held = held is not None
        self._directory = f"{layout.HELD if held else layout.TRANSACTION}{self.id}"
        self._made = 0
        self._opened: dict[str, int] = {}
        found = os.fstat(places.project)
        self._owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        if resumed:
            effects.rename(places.state, resumed, places.state, self._directory)
        elif held is None:
            effects.mkdir(places.state, self._directory, 0o700)
        self._at = open_directory(places.state, self._directory)
        if held is None:
            for name in (layout.SCRATCH, layout.TRASH):
                effects.mkdir(self._at, name, 0o700)
            self._insist_on_exchange()
        self._stack = Stack(self._at, places.project, effects, self._owner, makes=held is None)
        self._intake = Intake(self._stack, effects, self._owner)
        if held is None:
            self._stack.layer.give(self._at)
            self._give_named(self._at, layout.SCRATCH)
            self._stamp = touch_after(self._at, layout.STAMP, effects)
        else:
            put_back(held, self._stack.upper, self._at, self._effects)
            self._stamp = held.began
        self.checkpoints = Checkpoints(
            self._stack, self._at, places.state, effects, began=self._stamp, owned=owned
        )

    def _insist_on_exchange(self) -> None:
        """Refuse a file system that a commit would fail on, whatever the state was made on."""
        try:
            self._effects.exchange(self._at, layout.SCRATCH, self._at, layout.TRASH)
        except OSError as error:
            os.close(self._at)
            discard(self._places.state, self._directory, self._effects)
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            raise StateUnavailable(str(self._places.state_path), layout.NO_EXCHANGE) from error

    @property
    def upper(self) -> Path:
        """The layer above the project; every overlay of the project writes to it."""
        return self._path / layout.UPPER

    @property
    def base(self) -> Path:
        """The project itself, which nothing here changes before the commit."""
        return self._places.project_path

    @property
    def lowers(self) -> tuple[Path, ...]:
        """What lies below `upper` in an overlay of the project, the topmost first."""
        return (*(self._path / name for name in self._stack.sealed), self.base)

    def read_base(self, path: str, *, limit: int) -> bytes | None:
        """Give a file as the user left it, whatever the transaction made of it; None as in `read`."""
        self._alive()
        return read_below(self._places.project, path, limit)

    @property
    def base_identity(self) -> tuple[int, int]:
        """(device, inode) of the project that is open here, whatever its path leads to by now."""
        found = os.fstat(self._places.project)
        return found.st_dev, found.st_ino

    @property
    def _path(self) -> Path:
        return self._places.state_path / self._directory

    def new_work(self) -> Path:
        """Make an overlay work directory; each mount needs one of its own."""
        self._made += 1
        name = f"{layout.WORK}{self._made}"
        self._effects.mkdir(self._alive(), name, 0o700)
        self._give_named(self._at, name)
        return self._path / name

    def scratch(self, name: str) -> Path:
        """Make a private directory that ends with the transaction."""
        with opened(self._alive(), layout.SCRATCH) as scratch:
            self._effects.mkdir(scratch, name, 0o700)
            self._give_named(scratch, name)
        return self._path / layout.SCRATCH / name

    def open_build(self, name: str) -> Path:
        """Give the directory NAME-KEY that lasts from run to run, in place of those of other keys.

        It goes with the project's directory: what another project at the same path once compiled
        would pass for what is newer than sources that keep their old times.
        """
        self._alive()
        project = self._places.project
        whose = f"{os.fstat(project).st_ino:x}-{birth_ns(project):x}"
        directory = f"{layout.BUILD}{name}-{whose}"
        kind = f"{layout.BUILD}{name.partition('-')[0]}-"
        for other in names_in(self._places.state):
            if other.startswith(kind) and other != directory:
                discard(self._places.state, other, self._effects)
        with contextlib.suppress(FileExistsError):
            self._effects.mkdir(self._places.state, directory, 0o700)
        self._give_named(self._places.state, directory)
        return self._places.state_path / directory

    def read(self, path: JailPath, *, limit: int) -> bytes | None:
        """Give a file as the sandboxes see it; None when absent, not regular, or too long."""
        self._alive()
        return self._stack.tree.read(path, limit=limit)

    def open_file(self, path: JailPath) -> int:
        """Open a file as the sandboxes see it. Raises FileNotFoundError."""
        self._alive()
        return self._stack.tree.open_file(path)

    def names(
        self, under: str = "", *, limit: int = 200_000, exclude: tuple[str, ...] = ()
    ) -> tuple[Entry, ...]:
        """Give what is at and below `under` as the sandboxes see it. Raises TreeTooLarge."""
        self._alive()
        return tuple(self._stack.tree.walk(under, limit=limit, exclude=exclude))

    def put(self, path: JailPath, content: bytes) -> None:
        """Make `path` a file with `content`, mode 0644. Raises PathBlocked."""
        with opened(self._alive(), layout.SCRATCH) as scratch:
            self._intake.put(str(path), content, scratch)

    def take(self, source: Path, path: JailPath, *, executable: bool = False) -> None:
        """Move a file or a directory from this transaction's scratch to `path`, in place of what is there.

        A file gets the mode 0644, or 0755. Raises PathBlocked.
        """
        inside = os.fspath(source.relative_to(self._path / layout.SCRATCH))
        with opened(self._alive(), layout.SCRATCH) as scratch:
            self._intake.take(inside, str(path), scratch, mode=0o755 if executable else 0o644)

    def digest_base(self, hidden: frozenset[str]) -> str:
        """Give a digest of the project as the user left it; see workspace.inventory."""
        self._alive()
        return digest_project(self._places.project, self._stamp, hidden)

    def usage(self) -> tuple[int, int]:
        """Give bytes on disk and entries of everything the transaction holds. Raises TreeTooLarge."""
        at = os.dup(self._alive())  # its own, should the transaction end meanwhile
        try:
            return measure_private(at)
        finally:
            os.close(at)

    def space(self) -> os.statvfs_result:
        """Give what the file system has left, whatever the modes of the directories above are."""
        self._alive()
        return os.fstatvfs(self._stack.upper)

    def diff(self) -> Changes:
        """Give what a commit would change, unscreened."""
        self._fold()
        preparation = self._preparer(_LOOKING, EVERYTHING).prepare()
        return Changes(items=tuple(preparation.changes))

    def compare(self, *, text: bool) -> Comparison:
        """Show what a commit would change, unscreened, whoever would win a conflict."""
        self._fold()
        choice = Choice(conflicts=Conflicts.OURS)
        preparation = self._preparer(_LOOKING, choice).look()
        comparer = Comparer(before=self._places.project, after=self._stack.upper, text=text)
        pairs = (
            (change.path, str(change.path), str(change.path)) for change in preparation.changes
        )
        return comparer.compare(pairs, transaction=self.id, is_held=self._is_held)

    def hold(self, verb: str, *, hidden: frozenset[str], when: float) -> Held | None:
        """Make what was done durable, to be committed or discarded later; None when nothing was.

        An older one is thrown away. The transaction is over here.
        """
        self._alive()
        self._fold()
        if not names_in(self._stack.upper):
            self.rollback()
            return None
        open_all(self._stack.upper, self._opened, self._effects)
        held = Held(
            transaction=self.id,
            began=self._stamp,
            owned=self._owned,
            verb=verb,
            when=when,
            hidden=tuple(sorted(hidden)),
            shut=shut_directories(self._opened),
        )
        told = keep(held, self._directory, self._places.state, self._effects)
        self._close()
        return told

    def commit(self, rules: ScreenRules, choice: Choice = EVERYTHING) -> Committed:
        """Make the layer the project, atomically.

        Raises SelectionRefused, EditedMeanwhile or ChangesRefused, PathBlocked, and
        SystemRefused when the disk failed before the mark, with nothing changed;
        RecoveryNeeded when it failed after.
        """
        self._alive()
        try:
            return self._commit(rules, choice)
        except OSError as error:
            raise refusal(self._places, "committing", error) from error

    def _commit(self, rules: ScreenRules, choice: Choice) -> Committed:
        self._fold()
        with self._written_beside():
            preparation = self._preparer(rules, choice).prepare()
        done = Committed(
            transaction=self.id,
            left_out=preparation.left_out,
            dropped=tuple(preparation.dropped),
            overruled=tuple(preparation.overruled),
        )
        if not preparation.operations and not preparation.metadata:
            self.rollback()
            return done
        if self._is_held:
            preparation.alterations.write_down(self._stack.upper, self._at, self._effects)
        preparation.alterations.carry_out(self._stack.upper, self._at, self._effects)
        journal = Journal(
            kind=Kind.COMMIT,
            transaction=self.id,
            directory=self._directory,
            number=max(undo_numbers(self._places.state), default=0) + 1,
            began=self._stamp,
            operations=tuple(preparation.operations),
            metadata=tuple(preparation.metadata),
            before=tuple(preparation.before),
            owned=self._owned,
            tally=preparation.tally(),
        )
        insist_on_moving(journal, self._places.project, self._places.state)
        keep_room(self._places.state, self._effects)
        self._effects.syncfs(self._places.state)
        journals.write_mark(self._effects, self._places.state, journal)
        self._close()
        late = finish(journal, self._places, self._effects)
        return replace(
            done,
            added=journal.tally.added,
            replaced=journal.tally.replaced,
            deleted=journal.tally.deleted,
            late_edits=late,
        )

    def rollback(self) -> None:
        """Forget everything; harmless after the end."""
        if self._at < 0:
            return
        self._close()
        discard(self._places.state, self._directory, self._effects)

    def set_aside(self) -> bool:
        """Keep the checkpoints for a later run and forget the rest; False: all is forgotten. Harmless after the end."""
        if self._at < 0:
            return False
        self._close()
        if set_aside(self._directory, self._places.state, self._effects):
            return True
        discard(self._places.state, self._directory, self._effects)
        return False

    def leave(self) -> None:
        """Let go of a held transaction as it is; harmless after the end."""
        if self._at >= 0:
            self._close()

    @contextlib.contextmanager
    def _written_beside(self) -> Iterator[None]:
        """Write what a large build left to the disk while the block looks through it.

        The block changes the upper too, so whoever sets a mark syncs again after it, which is cheap.
        """
        if not has_more_than(self._stack.upper, _WORTH_A_THREAD):
            yield
            return
        wait = self._effects.syncfs_beside(self._places.state)
        try:
            yield
        finally:
            wait()

    def _preparer(self, rules: ScreenRules, choice: Choice) -> Preparer:
        return Preparer(
            self._stack.upper,
            self._places.project,
            rules,
            stamp=self._stamp,
            owned=self._owned,
            effects=self._effects,
            opened=self._opened,
            choice=choice,
        )

    def _alive(self) -> int:
        if self._at < 0:
            raise TransactionEnded(self.id, "it was committed or rolled back")
        return self._at

    def _close(self) -> None:
        self._stack.close()
        os.close(self._at)
        self._at = -1

    def _fold(self) -> None:
        """Make all layers one. From here on there is nothing to continue from."""
        self.checkpoints.end()
        self._stack.fold(self._places.state)

    def _give_named(self, at: int, name: str) -> None:
        with opened(at, name) as descriptor:
            self._stack.layer.give(descriptor)
