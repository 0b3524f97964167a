"""Transactions with one part taken out: tests of the tests, each of which must be seen to tear."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.proof import power, sweep
from tests.crash.proof.medium import mounted
from tests.crash.proof.verdict import Tally
from tests.crash.proof.victim import Act, Trial

from cloche.workspace import apply, layout
from cloche.workspace import journal as journals
from cloche.workspace.effects import Effects


class _SyncsNothing(Effects):
    def fsync(self, descriptor: int) -> None:
        self._tell("fsync", str(descriptor))

    def syncfs(self, descriptor: int) -> None:
        self._tell("syncfs", str(descriptor))


class _SyncsOnlyTheMark(_SyncsNothing):
    """Writes nothing to the disk before the journal is."""

    _marked = False

    def create(self, at: int, name: str, content: bytes, mode: int = 0o600) -> int:
        self._marked = self._marked or name == layout.JOURNAL_NEW
        return super().create(at, name, content, mode)

    def fsync(self, descriptor: int) -> None:
        (Effects if self._marked else _SyncsNothing).fsync(self, descriptor)

    def syncfs(self, descriptor: int) -> None:
        (Effects if self._marked else _SyncsNothing).syncfs(self, descriptor)


class _ForgetsTimes(Effects):
    def utime(self, descriptor: int, accessed: int, modified: int) -> None:  # noqa: ARG002
        self._tell("utime", str(descriptor))


class _DeletesTrashFirst(Effects):
    """Throws the old versions away while the journal still stands."""

    def rename(self, old_at: int, old: str, new_at: int, new: str) -> None:
        if old == layout.JOURNAL:
            trash = Path(f"/proc/self/fd/{new_at}") / layout.TRASH
            shutil.rmtree(trash)
            trash.mkdir()
        super().rename(old_at, old, new_at, new)


@contextlib.contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextlib.contextmanager
def _replaced(module: Any, name: str, other: Any) -> Iterator[None]:  # Any: whatever is replaced
    original = getattr(module, name)
    setattr(module, name, other)
    try:
        yield
    finally:
        setattr(module, name, original)


def _without_inodes() -> contextlib.AbstractContextManager[None]:
    original = apply._is_pending

    def is_pending(operation: journals.Operation, store: int) -> bool:
        if operation.action is journals.Action.REMOVE:
            return original(operation, store)
        return apply._lstat(operation.store.rpartition("/")[2], store) is not None

    return _replaced(apply, "_is_pending", is_pending)


def _without_moved_times() -> contextlib.AbstractContextManager[None]:
    original = journals.write_mark

    def write_mark(effects: Effects, state: int, journal: journals.Journal) -> None:
        moved = {operation.path for operation in journal.operations}
        kept = tuple(item for item in journal.metadata if item.path not in moved)
        original(effects, state, dataclasses.replace(journal, metadata=kept))

    return _replaced(journals, "write_mark", write_mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One part taken out, and the test that must notice."""

    name: str
    effects: type[Effects] = Effects
    change: Callable[[], contextlib.AbstractContextManager[None]] = _as_it_is
    policy: power.Policy | None = None
    """Of a power loss; None: killed at each change."""
    kinds: tuple[str, ...] = ("tmpfs", "ext4", "btrfs", "xfs")


ON_DISKS = ("ext4", "btrfs", "xfs")
MUTANTS = (
    Mutant(
        name="no sync before the mark",
        effects=_SyncsOnlyTheMark,
        policy=power.NOTHING,
        kinds=ON_DISKS,
    ),
    Mutant(name="no sync at all", effects=_SyncsNothing, policy=power.SOME, kinds=ON_DISKS),
    Mutant(name="exchange without the inode check", change=_without_inodes),
    Mutant(name="times of directories skipped", effects=_ForgetsTimes),
    Mutant(name="trash deleted before the journal", effects=_DeletesTrashFirst),
    Mutant(name="times of moved directories skipped", change=_without_moved_times, kinds=("xfs",)),
)


def caught(mutant: Mutant, kind: str, root: Path | None = None, seeds: int = 3) -> Tally:
    """Give the tally of the test that should notice: torn must not be 0. Raises Lacking."""
    with mutant.change():
        if mutant.policy is not None:
            return power.lost(
                kind,
                mutant.policy,
                seeds,
                lambda at: _trial(at, mutant, os.sync),
                until_torn=True,
            )
        if root is not None:
            return sweep.killed(_trial(root, mutant), kind, until_torn=True)
        with mounted(kind) as medium:
            return sweep.killed(_trial(medium.root, mutant), kind, until_torn=True)


def _trial(root: Path, mutant: Mutant, settle: Callable[[], object] = lambda: None) -> Trial:
    return Trial(root=root / "x", act=Act.COMMIT, effects=mutant.effects, settle=settle)
