"""One transaction: a private layer over the project, thrown away or made the project whole."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace

from cloche.model.conflicts import Conflicts
from cloche.workspace import journal as journals
from cloche.workspace import layout
from cloche.workspace.apply import insist_on_moving
from cloche.workspace.checkpoint import Checkpoints, set_aside
from cloche.workspace.choice import EVERYTHING, Choice
from cloche.workspace.compare import Comparer, Comparison
from cloche.workspace.diff import Changes, changes_anything, has_more_than
from cloche.workspace.discard import discard
from cloche.workspace.effects import Effects
from cloche.workspace.errors import StateUnavailable
from cloche.workspace.finish import finish, refusal, touch_after, undo_numbers
from cloche.workspace.held import Held, keep, open_all, put_back, shut_directories
from cloche.workspace.intake import Intake
from cloche.workspace.jail import open_directory, opened
from cloche.workspace.journal import Journal, Kind
from cloche.workspace.prepare import Preparer
from cloche.workspace.report import Committed
from cloche.workspace.reserve import keep_room
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.stack import Stack
from cloche.workspace.subtree import Opened, Subtree

_MANY = 1 << 62
_WORTH_A_THREAD = 1000  # entries; below, two syncs take longer than one and the scan
_LOOKING = ScreenRules(
    max_bytes=_MANY,
    max_file_bytes=_MANY,
    max_entries=4_000_000,
    may_write=allow_all,
    may_delete=allow_all,
)


class Transaction(Subtree):
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
        self._opened: dict[str, int] = {}
        found = os.fstat(places.project)
        self._owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        if resumed:
            effects.rename(places.state, resumed, places.state, self._directory)
        elif held is None:
            effects.mkdir(places.state, self._directory, 0o700)
        at = open_directory(places.state, self._directory)
        if held is None:
            for name in (layout.SCRATCH, layout.TRASH):
                effects.mkdir(at, name, 0o700)
            self._insist_on_exchange(at)
        self._stack = Stack(at, places.project, effects, self._owner, makes=held is None)
        if held is None:
            self._stack.layer.give(at)
            with opened(at, layout.SCRATCH) as scratch:
                self._stack.layer.give(scratch)
            self._stamp = touch_after(at, layout.STAMP, effects)
        else:
            put_back(held, self._stack.upper, at, self._effects)
            self._stamp = held.began
        shared = Opened(
            id=self.id,
            at=at,
            directory=self._directory,
            places=places,
            effects=effects,
            stack=self._stack,
            intake=Intake(self._stack, effects, self._owner),
            checkpoints=Checkpoints(
                self._stack, at, places.state, effects, began=self._stamp, owned=owned
            ),
            stamp=self._stamp,
        )
        super().__init__(shared)

    @property
    def _at(self) -> int:
        return self._shared.at

    def _insist_on_exchange(self, at: int) -> None:
        """Refuse a file system that a commit would fail on, whatever the state was made on."""
        try:
            self._effects.exchange(at, layout.SCRATCH, at, layout.TRASH)
        except OSError as error:
            os.close(at)
            discard(self._places.state, self._directory, self._effects)
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            raise StateUnavailable(str(self._places.state_path), layout.NO_EXCHANGE) from error

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
        open_all(self._stack.upper, self._opened, self._effects)
        if not changes_anything(self._stack.upper, self._places.project, self._opened):
            self.rollback()
            return None
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

    def _close(self) -> None:
        self._stack.close()
        os.close(self._at)
        self._shared.at = -1

    def _fold(self) -> None:
        """Make all layers one. From here on there is nothing to continue from."""
        self.checkpoints.end()
        self._stack.fold(self._places.state)
