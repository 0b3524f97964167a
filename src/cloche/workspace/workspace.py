"""A project with its transactions: one writer at a time, every commit atomic, the last ones kept."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from cloche.model.paths import JailPath
from cloche.workspace import journal as journals
from cloche.workspace import layout
from cloche.workspace.checkpoint import find_resumable, forget_resumable
from cloche.workspace.choice import EVERYTHING, Choice
from cloche.workspace.collector import Collect, delete_some, is_urgent
from cloche.workspace.compare import Comparer, Comparison
from cloche.workspace.discard import discard, sweep
from cloche.workspace.effects import Effects
from cloche.workspace.errors import (
    JournalDamaged,
    NothingHeld,
    RecoveryNeeded,
    UndoRefused,
    WorkspaceBusy,
)
from cloche.workspace.finish import is_undone, read_record, refusal, undo_numbers
from cloche.workspace.held import Held, find_held, held_names
from cloche.workspace.jail import names_in, opened, status
from cloche.workspace.journal import Journal
from cloche.workspace.line import WriterLine, WriterTurn
from cloche.workspace.lock import WriterLock, find_holder
from cloche.workspace.recover import clear, recover
from cloche.workspace.report import Committed, PastCommit, RecoveryReport
from cloche.workspace.screen import ScreenRules
from cloche.workspace.transaction import Transaction
from cloche.workspace.undo import undo_last

__all__ = ["Committed", "PastCommit", "RecoveryReport", "Workspace"]


class Workspace:
    """An open project; close it when done. For one thread at a time."""

    def __init__(
        self, places: layout.Places, effects: Effects, collect: Collect | None = None
    ) -> None:
        self._places, self._effects, self._collect = places, effects, collect
        self._lock: WriterLock | None = None
        self._line = WriterLine(places.state, self._effects)

    @classmethod
    def open(
        cls,
        project: Path,
        state_home: Path,
        effects: Effects | None = None,
        *,
        collect: Collect | None = None,
    ) -> "Workspace":
        """Open `project`, its state below `state_home` or beside it. Raises StateUnavailable.

        With `collect` large trees that were thrown away are deleted after `close`, in the background.
        """
        return cls(layout.open_places(project, state_home), effects or Effects(), collect)

    def begin(self, *, owned: tuple[str, ...] = (), resumes: bool = False) -> Transaction:
        """Begin a transaction; trees in `owned` are a tool's, and edits in them no conflict.

        With `resumes`, it has the checkpoints that a failed one left, to be taken up. Raises
        WorkspaceBusy while another process has one, RecoveryNeeded after a crash in the middle of
        a commit.
        """
        self._hold()
        if journals.is_marked(self._places.state):
            raise RecoveryNeeded(str(self._places.project_path))
        clear(self._places, self._effects)
        if is_urgent(self._places.state):
            sweep(self._places.state, self._effects)
        resumed = find_resumable(self._places.state, self._effects) if resumes else ""
        return Transaction(self._places, self._effects, owned, resumed=resumed)

    def ask_to_write(self) -> WriterTurn | None:
        """Take the writer lock, in the order of arrival; None when it is ours, else where we stand.

        Ask again to find out: from the second time on there is a place in the line, until `close`.
        """
        ahead, holder = self._line.ahead(), 0
        if self._lock is not None or not ahead:
            try:
                self._hold()
            except WorkspaceBusy as busy:
                holder = busy.pid
            else:
                self._line.leave()
                return None
        self._line.join()
        holder = holder or find_holder(self._places)
        return WriterTurn(position=self._line.ahead() + 1, pid=holder)

    def recover(self) -> RecoveryReport:
        """Finish or discard what a crash left. Raises WorkspaceBusy, JournalDamaged, RecoveryNeeded."""
        self._hold()
        self._collect = None  # what a crash left is gone when this is closed
        return recover(self._places, self._effects)

    def undo(self, count: int = 1) -> Committed:
        """Take the last `count` commits back, newest first; gives the sum.

        Raises UndoRefused, SystemRefused and RecoveryNeeded; commits taken back before that stay taken back.
        """
        if count < 1:
            raise UndoRefused("the count must be at least 1")
        self._hold()
        if journals.is_marked(self._places.state):
            raise RecoveryNeeded(str(self._places.project_path))
        try:
            done = [undo_last(self._places, self._effects) for _ in range(count)]
        except OSError as error:
            raise refusal(self._places, "undoing", error) from error
        return Committed(
            transaction=done[-1].transaction,
            added=sum(one.added for one in done),
            replaced=sum(one.replaced for one in done),
            deleted=sum(one.deleted for one in done),
            late_edits=tuple(edit for one in done for edit in one.late_edits),
        )

    def held(self) -> Held | None:
        """Give what is known of the held transaction, None when there is none. Raises JournalDamaged."""
        return find_held(self._places.state)

    def commit_held(
        self, rules: Callable[[Held], ScreenRules], choice: Choice = EVERYTHING
    ) -> Committed:
        """Commit the held transaction; what `choice` does not select of it is thrown away.

        Raises NothingHeld, RecoveryNeeded, and what Transaction.commit raises: it is then still held.
        """
        held, transaction = self._take_up()
        try:
            done = transaction.commit(rules(held), choice)
        finally:
            transaction.leave()
        self._forget_held()
        return done

    def discard_held(self) -> Held | None:
        """Throw the held transaction away, also one whose record is damaged. Raises NothingHeld."""
        self._hold()
        if not held_names(self._places.state):
            raise NothingHeld(str(self._places.project_path))
        try:
            held = find_held(self._places.state)
        except JournalDamaged:
            held = None
        self._forget_held()
        return held

    def forget_work(self) -> None:
        """Throw away what earlier runs left for later ones: checkpoints, and what builds keep.

        Raises WorkspaceBusy.
        """
        self._hold()
        clear(self._places, self._effects)
        forget_resumable(self._places.state, self._effects)
        for name in names_in(self._places.state):
            if name.startswith(layout.BUILD):
                discard(self._places.state, name, self._effects)

    def compare(self, *, text: bool = False) -> Comparison:
        """Show the held transaction, or else what the last commit that stands changed."""
        if find_held(self._places.state) is not None:
            _, transaction = self._take_up()
            try:
                return transaction.compare(text=text)
            finally:
                transaction.leave()
        standing = self._standing()
        if not standing:
            return Comparison()
        record = standing[-1]
        with opened(self._places.state, layout.undo_name(record.number)) as directory:
            comparer = Comparer(before=directory, after=self._places.project, text=text)
            pairs = (
                (JailPath(tuple(each.path.split("/"))), each.store, each.path)
                for each in record.operations
            )
            return comparer.compare(pairs, transaction=record.transaction, is_held=False)

    def history(self) -> tuple[PastCommit, ...]:
        """Give the commits that can be taken back, oldest first."""
        return tuple(
            PastCommit(
                number=record.number,
                transaction=record.transaction,
                added=record.tally.added,
                replaced=record.tally.replaced,
                deleted=record.tally.deleted,
            )
            for record in self._standing()
        )

    def close(self) -> None:
        """Let the next writer in, then delete what was thrown away, or have it deleted."""
        with contextlib.suppress(OSError):
            self._line.leave()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._collect is None:
            sweep(self._places.state, self._effects)
        else:
            delete_some(self._places.state, self._effects, self._collect)
        self._places.close()

    def _take_up(self) -> tuple[Held, Transaction]:
        self._hold()
        if journals.is_marked(self._places.state):
            raise RecoveryNeeded(str(self._places.project_path))
        clear(self._places, self._effects)
        held = find_held(self._places.state)
        if held is None:
            raise NothingHeld(str(self._places.project_path))
        replaced = self._replaced_since(held.began)
        owned = tuple(path for path in held.owned if path not in replaced)
        return held, Transaction(self._places, self._effects, owned, held=held)

    def _replaced_since(self, began: int) -> set[str]:
        """Give what other runs committed since: a tree that is a tool's is then theirs, and a conflict."""
        paths: set[str] = set()
        for number in undo_numbers(self._places.state):
            with opened(self._places.state, layout.undo_name(number)) as directory:
                applied = status(directory, layout.APPLIED)
            record = read_record(self._places.state, number)
            if record is not None and applied is not None and applied.st_ctime_ns >= began:
                paths.update(operation.path for operation in record.operations)
        return paths

    def _forget_held(self) -> None:
        for name in held_names(self._places.state):
            discard(self._places.state, name, self._effects)

    def _standing(self) -> list[Journal]:
        state = self._places.state
        found = (
            read_record(state, n) for n in sorted(undo_numbers(state)) if not is_undone(state, n)
        )
        return [record for record in found if record is not None]

    def _hold(self) -> None:
        if self._lock is None:
            self._lock = WriterLock(self._places, self._effects)
