"""From an upper layer to the renames that would make it the project: judged whole before any is done."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from cloche.model.conflicts import Conflicts
from cloche.model.paths import JailPath
from cloche.workspace import layout
from cloche.workspace.alterations import Alterations
from cloche.workspace.choice import Choice
from cloche.workspace.conflict import conflicts, edited_elsewhere, is_edited, is_swapped
from cloche.workspace.diff import (
    OVERLAY_MARK,
    Change,
    Difference,
    Kind,
    Role,
    is_whiteout,
    refuse_mount,
    walk_base,
    walk_upper,
)
from cloche.workspace.effects import Effects
from cloche.workspace.errors import ChangesRefused, EditedMeanwhile
from cloche.workspace.jail import open_beneath, parent_of
from cloche.workspace.journal import Action, Fingerprint, Metadata, Operation, Tally
from cloche.workspace.screen import ScreenRules, delete_reasons, entry_reasons, shown, write_reasons
from cloche.workspace.selection import Selection, select
from cloche.workspace.siblings import Siblings

_OWNER_ALL = 0o700
_BEYOND_THE_TUPLE = (
    *(f"st_{time}time{unit}" for time in "amc" for unit in ("", "_ns")),
    *("st_blksize", "st_blocks", "st_rdev"),
)
_MOST_READ = 4_000_000
"""Entries of a project that a check of reads looks at."""


@dataclass(slots=True)
class Preparation:
    """What a commit would do, gathered in one walk."""

    operations: list[Operation] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    before: list[Metadata] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    alterations: Alterations = field(default_factory=Alterations)
    left_out: int = 0
    """Changes that were not selected."""
    dropped: list[str] = field(default_factory=list)
    """Changes that gave way to the user's."""
    overruled: list[str] = field(default_factory=list)
    """What the user did that gave way, where there is no version of theirs to keep."""
    bytes_in: int = 0
    entries: int = 0

    def tally(self) -> Tally:
        """Count what is added, replaced and deleted; a tree moved whole is one."""
        kinds = [operation.action for operation in self.operations]
        return Tally(
            added=kinds.count(Action.ADD),
            replaced=kinds.count(Action.SWAP),
            deleted=kinds.count(Action.REMOVE),
        )


class Preparer:
    """Walks one upper, once or twice, and changes nothing in it but the modes of shut directories."""

    def __init__(
        self,
        upper: int,
        base: int,
        rules: ScreenRules,
        *,
        stamp: int,
        owned: tuple[str, ...],
        effects: Effects,
        opened: dict[str, int],
        choice: Choice,
    ) -> None:
        """Take what to walk by; `opened` gets the true mode of each directory that is opened for that."""
        self._upper, self._base, self._rules = upper, base, rules
        self._stamp, self._owned = stamp, frozenset(owned)
        self._effects, self._opened, self._choice = effects, opened, choice
        self._owner = os.fstat(base).st_uid
        self._found = Preparation()
        self._passed: set[str] = set()
        """Directories that do not go in, with all below them."""
        self._modes_kept: set[str] = set()
        """Directories whose mode stays the user's."""
        self._selection: Selection | None = None
        self._taken_along: list[str] = []
        """What the project has below the entry at hand, if that goes as a whole."""
        self._disputed: set[str] = set()
        """Directories that the user swapped for others, and those below: all in them is theirs."""

    def prepare(self) -> Preparation:
        """Walk, and raise EditedMeanwhile or ChangesRefused with everything found; else give it.

        Raises SelectionRefused before both.
        """
        limit = self._rules.max_entries
        self._selection = select(self._walk(), self._base, self._choice, limit=limit)
        found = self.look()
        if found.bytes_in > self._rules.max_bytes:
            found.reasons.append(
                f"it brings in {found.bytes_in} bytes, at most {self._rules.max_bytes} allowed"
            )
        if found.conflicts:
            raise EditedMeanwhile(tuple(shown(path) for path in found.conflicts))
        self._check_reads()
        if found.reasons:
            raise ChangesRefused(tuple(found.reasons))
        self._keep_what_matters()
        # Deepest first: restoring a parent's times must come after its children's, and a mode of
        # 0000 would not let a later one in.
        for items in (found.metadata, found.before):
            items.sort(key=lambda item: -item.path.count("/") - (item.path != ""))
        return found

    def look(self) -> Preparation:
        """Walk, and give all there is, whatever speaks against it: to be shown, never to be committed."""
        found, siblings = self._found, Siblings(self._base, self._rules)
        for difference in self._walk():
            if self._is_passed(difference):
                continue
            found.reasons += siblings.take(difference)
            self._take(difference)
        found.reasons += siblings.end()
        found.changes.sort(key=lambda change: change.path)
        return found

    def _walk(self) -> Iterator[Difference]:
        limit = self._rules.max_entries
        for found in walk_upper(self._upper, self._base, limit=limit, opener=self._make_readable):
            # An earlier walk may have opened it: its true mode is what was seen then.
            mode = self._opened.get(found.path)
            yield found if mode is None else replace(found, upper=_with_mode(found.upper, mode))

    def _check_reads(self) -> None:
        if not self._choice.check_reads:
            return
        # Also what was settled above: whoever wins, the run may have gone by the version before.
        edited = edited_elsewhere(self._base, self._stamp, self._owned, _MOST_READ)
        files = tuple(map(shown, edited))
        if files:
            raise EditedMeanwhile(files, only_read=True)

    def _keep_what_matters(self) -> None:
        """Forget metadata that no change asks for."""
        found = self._found
        if not found.operations and not self._changes_modes():
            found.metadata, found.before = [], []
        if self._selection is None and not found.dropped:
            return
        # Directories in which nothing goes in after all keep their times.
        modes = {before.path: before.mode for before in found.before}
        touched = {parent_of(operation.path) for operation in found.operations}
        kept = [
            item
            for item in found.metadata
            if item.path not in modes or item.path in touched or item.mode != modes[item.path]
        ]
        found.metadata = kept
        paths = {item.path for item in kept}
        found.before = [item for item in found.before if item.path in paths]

    def _changes_modes(self) -> bool:
        return any(
            a.mode != b.mode for a, b in zip(self._found.metadata, self._found.before, strict=False)
        )

    def _make_readable(self, path: str, found: os.stat_result) -> None:
        # Without root a directory of mode 0000 hides what is in it, and one of
        # 0555 cannot be moved. Its true mode is journalled and given back.
        if os.geteuid() == 0 or self._opened.get(path, found.st_mode) & _OWNER_ALL == _OWNER_ALL:
            return
        self._opened.setdefault(path, stat.S_IMODE(found.st_mode))
        descriptor = open_beneath(self._upper, path, os.O_PATH)
        try:
            self._effects.chmod(descriptor, stat.S_IMODE(found.st_mode) | _OWNER_ALL)
        finally:
            os.close(descriptor)

    def _take(self, found: Difference) -> None:
        # Of what is inside of a directory, that directory was settled.
        if found.role is not Role.INSIDE and not self._is_decided(found):
            return
        reasons = entry_reasons(found, self._rules, owner=self._owner)
        if self._is_written(found):
            reasons += write_reasons(found.path, self._rules)
        self._found.reasons += reasons
        if stat.S_ISREG(found.upper.st_mode):
            self._found.bytes_in += found.upper.st_size
        match found.role:
            case Role.MERGED:
                self._merge(found)
            case Role.WHITEOUT:
                self._remove(found)
            case Role.TREE | Role.LEAF:
                self._install(found)
            case Role.INSIDE:
                self._inside(found)

    def _is_passed(self, found: Difference) -> bool:
        """Tell whether the entry does not go in, because it was not selected or is below what does not."""
        if self._passed and found.path and parent_of(found.path) in self._passed:
            self._passed.add(found.path)
            return True
        if self._selection is None or self._selection.takes(found.path):
            return False
        if found.role is Role.MERGED:
            self._found.left_out += self._has_new_mode(found)
            return False
        if is_whiteout(found.upper) and found.base is None:
            return False
        self._found.left_out += 1
        self._passed.add(found.path)
        if found.role is Role.INSIDE:
            self._found.alterations.pruned.append(found.path)
        return True

    def _is_decided(self, found: Difference) -> bool:
        """Look for edits of the user's and settle them by choice; False: theirs stays."""
        if parent_of(found.path) in self._disputed and found.path:
            self._disputed.add(found.path)
        edited = [found.path] if conflicts(found, self._stamp) else []
        below = self._below(found)
        self._taken_along = [path for path, _ in below[1:]]
        edited += [path for path, status in below if is_edited(status, self._stamp)]
        if not edited:
            return True
        match self._choice.conflicts:
            case Conflicts.ABORT:
                self._found.conflicts += edited
            case Conflicts.THEIRS:
                return self._give_way(found)
            case Conflicts.OURS:
                self._insist(found)
        return True

    def _give_way(self, found: Difference) -> bool:
        if found.role is Role.MERGED and not is_swapped(found, self._stamp):
            self._found.dropped.append(f"{found.path or '.'} (its mode)")
            self._modes_kept.add(found.path)
            return True
        self._found.dropped.append(found.path)
        self._passed.add(found.path)
        return False

    def _insist(self, found: Difference) -> None:
        if found.role is Role.MERGED:
            assert found.base is not None
            if is_swapped(found, self._stamp):
                self._disputed.add(found.path)
            else:
                mode = stat.S_IMODE(found.base.st_mode)
                self._found.overruled.append(
                    f"{found.path or '.'}: you gave it the mode {mode:04o}"
                )
        elif found.base is None:
            self._found.overruled.append(f"{found.path}: you had deleted it")
        else:
            self._disputed.add(found.path)

    def _merge(self, found: Difference) -> None:
        assert found.base is not None
        quiet = not is_edited(found.base, self._stamp)
        modes = found.upper if self._is_written(found) else found.base
        item = _metadata(found.path, found.upper, times=quiet, mode=stat.S_IMODE(modes.st_mode))
        self._found.metadata.append(item)
        self._found.before.append(_metadata(found.path, found.base, times=True))

    def _remove(self, found: Difference) -> None:
        if found.base is None:
            return
        self._judge_deletions(found)
        operation = Operation(
            action=Action.REMOVE,
            path=found.path,
            store=f"{layout.TRASH}/{len(self._found.operations)}",
            outgoing=Fingerprint.of(found.base),
            theirs=found.path in self._disputed,
        )
        self._found.operations.append(operation)
        self._remember(found.path, found.base)
        self._add_change(Kind.DELETE, found, is_directory=stat.S_ISDIR(found.base.st_mode))

    def _install(self, found: Difference) -> None:
        self._strip(found)
        if found.base is not None:
            self._judge_deletions(found)
        operation = Operation(
            action=Action.ADD if found.base is None else Action.SWAP,
            path=found.path,
            store=f"{layout.UPPER}/{found.path}",
            incoming=Fingerprint.of(found.upper),
            outgoing=None if found.base is None else Fingerprint.of(found.base),
            theirs=found.base is not None and found.path in self._disputed,
        )
        self._found.operations.append(operation)
        if found.base is not None:
            self._remember(found.path, found.base)
        kind = Kind.ADD if found.base is None else Kind.REPLACE
        is_directory = stat.S_ISDIR(found.upper.st_mode)
        self._add_change(kind, found, is_directory=is_directory)
        if is_directory:
            # xfs changes a directory's own mtime when it moves to another parent.
            self._found.metadata.append(_metadata(found.path, found.upper, times=True))

    def _inside(self, found: Difference) -> None:
        if is_whiteout(found.upper):
            # A stray whiteout hides nothing here, and a device must not enter the project.
            self._found.alterations.pruned.append(found.path)
            return
        self._strip(found)
        if stat.S_ISDIR(found.upper.st_mode) and (
            found.upper.st_mode & _OWNER_ALL != _OWNER_ALL or self._selection is not None
        ):
            # What is left out of it changes its times as it goes.
            self._found.metadata.append(_metadata(found.path, found.upper, times=True))

    def _remember(self, path: str, base: os.stat_result) -> None:
        """Keep what an undo gives a directory back: leaving may cost it its mode, and on xfs its mtime."""
        if stat.S_ISDIR(base.st_mode):
            self._found.before.append(_metadata(path, base, times=True))

    def _below(self, found: Difference) -> list[tuple[str, os.stat_result]]:
        """Give what the project has in a directory that is to be deleted or replaced, itself first.

        Raises PathBlocked for a mounted place.
        """
        if found.base is None or found.role is Role.MERGED:
            return []
        refuse_mount(self._base, found.path)
        if found.path in self._owned:
            return []
        if not stat.S_ISDIR(found.base.st_mode):
            return []
        return list(walk_base(self._base, found.path, limit=self._rules.max_entries))

    def _judge_deletions(self, found: Difference) -> None:
        """Judge what a deletion or replacement takes along."""
        if found.role is Role.WHITEOUT:
            self._found.reasons += delete_reasons(found.path, self._rules)
        for path in self._taken_along:
            self._found.reasons += delete_reasons(path, self._rules)

    def _add_change(self, kind: Kind, found: Difference, *, is_directory: bool) -> None:
        self._found.changes.append(
            Change(
                kind=kind,
                path=JailPath(tuple(found.path.split("/"))),
                is_directory=is_directory,
                size=found.upper.st_size if stat.S_ISREG(found.upper.st_mode) else 0,
                entries=1,
            )
        )

    def _strip(self, found: Difference) -> None:
        """Note overlayfs's own marks, which must not be in what is about to be the project's."""
        for mark in found.marks:
            if mark.startswith(OVERLAY_MARK):
                self._found.alterations.marks.append((found.path, mark))

    def _has_new_mode(self, found: Difference) -> bool:
        assert found.base is not None
        return stat.S_IMODE(found.upper.st_mode) != stat.S_IMODE(found.base.st_mode)

    def _is_written(self, found: Difference) -> bool:
        """Tell whether policy must allow a write: also where only a directory's mode is another."""
        if found.role is not Role.MERGED:
            return found.role is not Role.WHITEOUT and not is_whiteout(found.upper)
        if found.path in self._modes_kept:
            return False
        is_taken = self._selection is None or self._selection.takes(found.path)
        return is_taken and self._has_new_mode(found)


def _with_mode(found: os.stat_result, mode: int) -> os.stat_result:
    named = {name: getattr(found, name) for name in _BEYOND_THE_TUPLE}
    return os.stat_result((stat.S_IFMT(found.st_mode) | mode, *found[1:10]), named)


def _metadata(
    path: str, found: os.stat_result, *, times: bool, mode: int | None = None
) -> Metadata:
    return Metadata(
        path=path,
        mode=stat.S_IMODE(found.st_mode) if mode is None else mode,
        accessed=found.st_atime_ns,
        modified=found.st_mtime_ns,
        times=times,
    )
