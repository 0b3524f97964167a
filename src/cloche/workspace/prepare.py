"""From an upper layer to the renames that would make it the project: judged whole before any is done."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from cloche.model.paths import JailPath
from cloche.workspace import layout
from cloche.workspace.choice import Choice, Conflicts, Disputed, ancestors
from cloche.workspace.conflict import conflicts, is_edited
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
from cloche.workspace.jail import name_of, open_beneath, open_directory, parent_of
from cloche.workspace.journal import Action, Fingerprint, Metadata, Operation, Tally
from cloche.workspace.screen import ScreenRules, delete_reasons, entry_reasons, shown, write_reasons
from cloche.workspace.siblings import Siblings

_OWNER_ALL = 0o700
_MOST_READ = 4_000_000  # entries of a project that are looked at for what the user changed


@dataclass(slots=True)
class Preparation:
    """What a commit would do, gathered in one walk."""

    operations: list[Operation] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    before: list[Metadata] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    left_to_user: tuple[str, ...] = ()
    left_out: int = 0
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
    """Walks one upper. With `touch` it also makes the upper ready: marks and whiteouts removed."""

    def __init__(
        self,
        upper: int,
        base: int,
        rules: ScreenRules,
        *,
        stamp: int,
        owned: tuple[str, ...],
        effects: Effects,
        touch: bool,
        choice: Choice,
    ) -> None:
        self._upper, self._base, self._rules = upper, base, rules
        self._stamp, self._owned = stamp, frozenset(owned)
        self._effects, self._touch = effects, touch
        self._owner = os.fstat(base).st_uid
        self._choice = choice
        self._unselected: set[str] = set()
        self._found = Preparation()

    def prepare(self) -> Preparation:
        """Walk, and raise EditedMeanwhile or ChangesRefused with everything found; else give it."""
        limit = self._rules.max_entries
        walk = walk_upper(self._upper, self._base, limit=limit, opener=self._make_readable)
        found, siblings = self._found, Siblings(self._base, self._rules)
        for difference in walk:
            if not self._is_selected(difference):
                continue
            found.reasons += siblings.take(difference)
            self._take(difference)
        found.reasons += siblings.end()
        if found.bytes_in > self._rules.max_bytes:
            found.reasons.append(
                f"it brings in {found.bytes_in} bytes, at most {self._rules.max_bytes} allowed"
            )
        self._settle_conflicts()
        if found.reasons:
            raise ChangesRefused(tuple(found.reasons))
        if not found.operations and not self._changes_modes():
            found.metadata, found.before = [], []
        # Deepest first: restoring a parent's times must come after its children's, and a mode of
        # 0000 would not let a later one in.
        for items in (found.metadata, found.before):
            items.sort(key=lambda item: -item.path.count("/") - (item.path != ""))
        found.changes.sort(key=lambda change: change.path)
        return found

    def _is_selected(self, found: Difference) -> bool:
        """Tell whether a difference is of the part that is wanted; a tree is, or is not, as a whole."""
        only = self._choice.only
        if only is None or found.role is Role.MERGED:
            return True
        if found.role is Role.INSIDE:
            return not _is_within(found.path, self._unselected)
        if only(found.path):
            return True
        if found.role is Role.TREE:
            self._unselected.add(found.path)
        self._found.left_out += 1
        return False

    def _settle_conflicts(self) -> None:
        """Raise, or give way, or mark what has to be kept for the user: as was chosen."""
        found, read = self._found, self._read_meanwhile()
        if read or (found.conflicts and self._choice.conflicts is Conflicts.ABORT):
            raise EditedMeanwhile((*(shown(path) for path in found.conflicts), *read))
        if not found.conflicts:
            return
        disputed = Disputed(found.conflicts)
        concerned = {each for each in found.operations if disputed.concerns(each.path)}
        if self._choice.conflicts is Conflicts.OURS:
            found.operations = [
                replace(each, disputed=each in concerned) for each in found.operations
            ]
            return
        gone = {each.path for each in concerned} | disputed.paths
        found.left_to_user = tuple(sorted(gone))
        found.operations = [each for each in found.operations if each not in concerned]
        found.changes = [change for change in found.changes if str(change.path) not in gone]
        found.metadata = [item for item in found.metadata if not _is_within(item.path, gone)]
        found.before = [item for item in found.before if not _is_within(item.path, gone)]

    def _read_meanwhile(self) -> tuple[str, ...]:
        """Give what the user changed that the run may have read; a directory only says that of its names."""
        if not self._choice.check_reads:
            return ()
        passed = (*self._owned, ".git")
        return tuple(
            f"{shown(path)} (the run may have read it)"
            for path, status in walk_base(self._base, "", limit=_MOST_READ)
            if path
            and not stat.S_ISDIR(status.st_mode)
            and is_edited(status, self._stamp)
            and not _is_within(path, passed)
            and path not in self._found.conflicts
        )

    def _changes_modes(self) -> bool:
        return any(
            a.mode != b.mode for a, b in zip(self._found.metadata, self._found.before, strict=False)
        )

    def _make_readable(self, path: str, found: os.stat_result) -> None:
        # Without root a directory of mode 0000 hides what is in it, and one of
        # 0555 cannot be moved. Its true mode is journalled and given back.
        if os.geteuid() == 0 or found.st_mode & _OWNER_ALL == _OWNER_ALL:
            return
        descriptor = open_beneath(self._upper, path, os.O_PATH)
        try:
            self._effects.chmod(descriptor, stat.S_IMODE(found.st_mode) | _OWNER_ALL)
        finally:
            os.close(descriptor)

    def _take(self, found: Difference) -> None:
        reasons = entry_reasons(found, self._rules, owner=self._owner)
        if _is_written(found):
            reasons += write_reasons(found.path, self._rules)
        self._found.reasons += reasons
        if stat.S_ISREG(found.upper.st_mode):
            self._found.bytes_in += found.upper.st_size
        if conflicts(found, self._stamp):
            self._found.conflicts.append(found.path)
        match found.role:
            case Role.MERGED:
                self._merge(found)
            case Role.WHITEOUT:
                self._remove(found)
            case Role.TREE | Role.LEAF:
                self._install(found)
            case Role.INSIDE:
                self._inside(found)

    def _merge(self, found: Difference) -> None:
        assert found.base is not None
        quiet = not is_edited(found.base, self._stamp)
        after = _metadata(found.path, found.upper, times=quiet)
        only = self._choice.only
        if only is not None and not only(found.path):
            # Only what is selected below it changes here.
            after = replace(after, mode=stat.S_IMODE(found.base.st_mode))
        self._found.metadata.append(after)
        self._found.before.append(_metadata(found.path, found.base, times=True))
        self._strip(found)

    def _remove(self, found: Difference) -> None:
        if found.base is None:
            return
        self._look_below(found)
        operation = Operation(
            action=Action.REMOVE,
            path=found.path,
            store=f"{layout.TRASH}/{len(self._found.operations)}",
            outgoing=Fingerprint.of(found.base),
        )
        self._found.operations.append(operation)
        self._remember(found.path, found.base)
        self._add_change(Kind.DELETE, found, is_directory=stat.S_ISDIR(found.base.st_mode))

    def _install(self, found: Difference) -> None:
        self._strip(found)
        if found.base is not None:
            self._look_below(found)
        operation = Operation(
            action=Action.ADD if found.base is None else Action.SWAP,
            path=found.path,
            store=f"{layout.UPPER}/{found.path}",
            incoming=Fingerprint.of(found.upper),
            outgoing=None if found.base is None else Fingerprint.of(found.base),
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
            if self._touch:
                self._unlink(found.path)
            return
        self._strip(found)
        if stat.S_ISDIR(found.upper.st_mode) and found.upper.st_mode & _OWNER_ALL != _OWNER_ALL:
            self._found.metadata.append(_metadata(found.path, found.upper, times=True))

    def _remember(self, path: str, base: os.stat_result) -> None:
        """Keep what an undo gives a directory back: leaving may cost it its mode, and on xfs its mtime."""
        if stat.S_ISDIR(base.st_mode):
            self._found.before.append(_metadata(path, base, times=True))

    def _look_below(self, found: Difference) -> None:
        """Judge what a deletion or replacement takes along. Raises PathBlocked for a mounted place."""
        assert found.base is not None
        refuse_mount(self._base, found.path)
        replaces_file = not stat.S_ISDIR(found.base.st_mode)
        if found.role is Role.WHITEOUT:
            self._found.reasons += delete_reasons(found.path, self._rules)
        if replaces_file or found.path in self._owned:
            return
        for path, status in walk_base(self._base, found.path, limit=self._rules.max_entries):
            if is_edited(status, self._stamp):
                self._found.conflicts.append(path)
            if path != found.path:
                self._found.reasons += delete_reasons(path, self._rules)

    def _add_change(self, kind: Kind, found: Difference, *, is_directory: bool) -> None:
        self._found.changes.append(
            Change(
                kind=kind,
                path=JailPath(tuple(found.path.split("/"))),
                is_directory=is_directory,
                size=_size(found.upper),
                entries=1,
                size_before=_size(found.base),
            )
        )

    def _strip(self, found: Difference) -> None:
        """Remove overlayfs's own marks from what is about to be the project's."""
        marks = [mark for mark in found.marks if mark.startswith(OVERLAY_MARK)]
        if not marks or not self._touch or found.role is Role.MERGED:
            return
        descriptor = open_beneath(self._upper, found.path, os.O_PATH)
        # Without root a file's mark goes only where its owner may write to it, xattr(7): one of mode
        # 0444 or 0000 is opened for that long. Directories have been opened by the walk.
        mode = stat.S_IMODE(found.upper.st_mode)
        is_shut = os.geteuid() != 0 and stat.S_ISREG(found.upper.st_mode) and not mode & 0o200
        try:
            if is_shut:
                self._effects.chmod(descriptor, mode | 0o200)
            for mark in marks:
                self._effects.unmark(descriptor, mark)
            if is_shut:
                self._effects.chmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def _unlink(self, path: str) -> None:
        directory = open_directory(self._upper, parent_of(path))
        try:
            self._effects.unlink(directory, name_of(path))
        finally:
            os.close(directory)


def _is_within(path: str, trees: Collection[str]) -> bool:
    return any(above in trees for above in ancestors(path))


def _size(found: os.stat_result | None) -> int:
    return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else 0


def _is_written(found: Difference) -> bool:
    """Tell whether policy must allow a write: also where only a directory's mode is another."""
    if found.role is Role.MERGED:
        assert found.base is not None
        return stat.S_IMODE(found.upper.st_mode) != stat.S_IMODE(found.base.st_mode)
    return found.role is not Role.WHITEOUT and not is_whiteout(found.upper)


def _metadata(path: str, found: os.stat_result, *, times: bool) -> Metadata:
    return Metadata(
        path=path,
        mode=stat.S_IMODE(found.st_mode),
        accessed=found.st_atime_ns,
        modified=found.st_mtime_ns,
        times=times,
    )
