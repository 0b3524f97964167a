"""Builds, edits, commits, undos and crashes in any order, against a project that is a dictionary."""

import contextlib
import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.property.project_model import Tree
from tests.unit.workspace.building import (
    RULES,
    Deed,
    Seen,
    build,
    build_natively,
    seen,
    stage_home,
    without_times,
)

from cloche.workspace.effects import Effects
from cloche.workspace.errors import EditedMeanwhile
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

NAMES = st.sampled_from(["a", "b", "c"])
# Few, and most of them there from the start, so that most deeds do something.
PATHS = st.sampled_from(
    ["a", "b", "c", "a/a", "a/b", "a/c", "a/d", "b/a", "b/b", "b/c", "a/a/c", "a/a/d", "b/a/c"]
)
START: list[Deed] = [
    *(("mkdir", "a"), ("mkdir", "a/a"), ("mkdir", "b"), ("symlink", "b/b", "nowhere")),
    *(("write", path, b"old") for path in ("c", "a/c", "a/a/c", "b/c")),
    ("link", "b/c", "a/b"),
]
CONTENTS = st.sampled_from([b"", b"x", b"longer content"])
# Where no name leads, so that no deed goes through a link.
TARGETS = st.sampled_from(["nowhere", "elsewhere"])
MODES = st.sampled_from([0o755, 0o700, 0o750, 0o644, 0o444])
DEEDS: st.SearchStrategy[list[Deed]] = st.one_of(
    st.tuples(st.tuples(st.just("write"), PATHS, CONTENTS)),
    st.tuples(st.tuples(st.just("append"), PATHS, CONTENTS)),
    st.tuples(st.tuples(st.just("mkdir"), PATHS)),
    st.tuples(st.tuples(st.just("remove"), PATHS)),
    st.tuples(st.tuples(st.just("rename"), PATHS, PATHS)),
    st.tuples(st.tuples(st.just("link"), PATHS, PATHS)),
    st.tuples(st.tuples(st.just("symlink"), PATHS, TARGETS)),
    # A type change, and a directory replaced by another.
    PATHS.map(lambda path: (("remove", path), ("symlink", path, "nowhere"))),
    PATHS.map(lambda path: (("remove", path), ("mkdir", path))),
    st.builds(
        lambda path, name: (
            ("remove", path),
            ("mkdir", path),
            ("write", f"{path}/{name}", b"another"),
        ),
        PATHS,
        NAMES,
    ),
).map(list)


def _joined(parts: list[list[Deed]]) -> list[Deed]:
    return [deed for part in parts for deed in part]


BUILDS = st.lists(DEEDS, min_size=1, max_size=4).map(_joined)


class Died(BaseException):
    """The process ended here."""


def dying(after: int) -> Effects:
    left = after

    def before(_call: str, _detail: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Died

    return Effects(before)


def _usable(tree: Tree, path: str, mode: int) -> int:
    """Leave the owner what the model does not forbid: to read, and to work in a directory."""
    return mode | (0o700 if tree.is_directory(path) else 0o400)


def _overlay_marks(root: Path) -> list[Path]:
    places = (place for place in root.rglob("*") if not place.is_symlink())
    return [p for p in places if any(m.startswith("user.overlay.") for m in os.listxattr(p))]


class Project(RuleBasedStateMachine):
    """One real project with its state, and beside it what the model says of it."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory(dir=stage_home(), ignore_cleanup_errors=True)
        self.project, self.state = Path(self.home.name, "project"), Path(self.home.name, "state")
        self.project.mkdir(mode=0o755)
        self.project.chmod(0o755)
        self.now = Tree()
        self.pending = Tree()
        self.merged: Seen | None = None
        self.edited: set[str] = set()
        """Written by a person where the open transaction also did something."""
        self.hidden: set[str] = set()
        """Deleted by the open transaction."""
        self.disturbed = False
        self.past: list[tuple[Tree, Seen]] = []
        self.transaction: Transaction | None = None
        self.workspace = Workspace.open(self.project, self.state)

    @initialize(deeds=st.lists(DEEDS, max_size=8).map(_joined))
    def start(self, deeds: list[Deed]) -> None:
        self._by_hand([*START, *deeds])

    def begin(self) -> None:
        self.transaction = self.workspace.begin()
        self.pending, self.merged = self.now.begun(), None
        self.edited, self.hidden, self.disturbed = set(), set(), False

    @rule(deeds=BUILDS, modes=st.lists(st.tuples(PATHS, MODES), max_size=2))
    def build(self, deeds: list[Deed], modes: list[tuple[str, int]]) -> None:
        if self.transaction is None:
            self.begin()
        assert self.transaction is not None
        changes = [("chmod", path, _usable(self.pending, path, mode)) for path, mode in modes]
        for deed in (*changes, *deeds):
            self.pending.do(deed)
        self.merged = build(self.transaction, *changes, *deeds)
        self.hidden |= self.now.nodes.keys() - self.pending.nodes.keys()
        assert without_times(self.merged) == self.pending.render()

    @rule(path=PATHS, content=CONTENTS)
    def edit_what_is_built(self, path: str, content: bytes) -> None:
        """A build and a person write one file."""
        self.build([("write", path, b"built")], [])
        self.edit(path, content)

    @rule(path=PATHS, content=CONTENTS)
    def edit(self, path: str, content: bytes) -> None:
        """A person writes or makes one file, or deletes one."""
        deed = ("write", path, content) if content else ("remove", path)
        if self.now.is_directory(path) or not self.now.can_do(deed):
            return
        self._by_hand([deed])
        if self.transaction is None:
            return
        self.disturbed = True
        if not content:
            self.edited.discard(path)
            if not self._is_touched(path):
                self.pending.do_below(deed)
            return
        for name in self.now.names_of(path):
            if not self._is_touched(name):
                self.pending.do_below(("write", name, content))
            elif name == path:
                self.edited.add(path)

    @precondition(lambda self: self.transaction is not None)
    @rule()
    def rollback(self) -> None:
        assert self.transaction is not None
        self.transaction.rollback()
        self._ended()

    @precondition(lambda self: self.transaction is not None)
    @rule()
    def commit(self) -> None:
        assert self.transaction is not None
        before = seen(self.project)
        try:
            self.transaction.commit(RULES)
        except EditedMeanwhile:
            assert self.disturbed
            assert seen(self.project) == before
            self.rollback()
            return
        assert not self.edited, "an edit was lost"
        self._committed(before)

    @precondition(lambda self: self.transaction is not None and not self.disturbed)
    @rule(first=st.integers(0, 60), second=st.integers(0, 60))
    def crash_in_commit(self, first: int, second: int) -> None:
        assert self.transaction is not None
        before = seen(self.project)
        self.transaction._effects = self.workspace._effects = dying(first)
        with contextlib.suppress(Died):
            self.transaction.commit(RULES)
        self._recover(second)
        self._committed(before)

    @precondition(lambda self: self.transaction is None and self.past)
    @rule(data=st.data(), first=st.integers(0, 60), second=st.integers(0, 60))
    def crash_in_undo(self, data: st.DataObject, first: int, second: int) -> None:
        before, kept = seen(self.project), len(self.workspace.history())
        self.workspace._effects = dying(first)
        with contextlib.suppress(Died):
            self.workspace.undo(data.draw(st.integers(1, len(self.past))))
        self._recover(second)
        for _ in range(kept - len(self.workspace.history())):
            self.now, before = self.past.pop()
        assert seen(self.project) == before

    @precondition(lambda self: self.transaction is None and self.past)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(self.past)))
        self.workspace.undo(count)
        for _ in range(count):
            self.now, before = self.past.pop()
        assert seen(self.project) == before

    @invariant()
    def the_project_is_what_the_model_says(self) -> None:
        assert seen(self.project, times=False) == self.now.render()

    def teardown(self) -> None:
        if self.transaction is not None:
            self.transaction.rollback()
        self.workspace.close()
        self.home.cleanup()
        super().teardown()

    def _by_hand(self, deeds: list[Deed]) -> None:
        build_natively(self.project, *deeds)
        for deed in deeds:
            self.now.do(deed)
        self.past = []  # undoing over an edit is another test's

    def _is_touched(self, path: str) -> bool:
        """Tell whether the open transaction did something at `path` or to what holds it."""
        while path:
            node = self.pending.nodes.get(path)
            if node.fresh if node is not None else path in self.hidden:
                return True
            path = path.rpartition("/")[0]
        return False

    def _committed(self, before: Seen) -> None:
        """What must hold after a commit that may have had nothing to do, or died before its mark."""
        assert self.transaction is not None
        history = self.workspace.history()
        if not history or history[-1].transaction != self.transaction.id:
            assert seen(self.project) == before
        else:
            self.past = [*self.past, (self.now, before)][-5:]
            self.now = self.pending.ended()
            if not self.disturbed:
                assert seen(self.project) == self.merged
            assert not _overlay_marks(self.project)
        self._ended()

    def _ended(self) -> None:
        self.transaction = None

    def _recover(self, dies_after: int) -> None:
        """What the next process does, which may die of it as well."""
        self._die()
        self.workspace = Workspace.open(self.project, self.state, dying(dies_after))
        with contextlib.suppress(Died):
            self.workspace.recover()
        self._die()
        self.workspace = Workspace.open(self.project, self.state)
        self.workspace.recover()
        state = self.workspace._places.state_path
        names = os.listdir(state)
        assert "journal" not in names
        assert not [name for name in names if name.startswith("tx-")]
        whole, records = seen(self.project), sorted(names)
        again = self.workspace.recover()
        assert (again.completed, again.discarded, again.late_edits) == (False, 0, ())
        assert seen(self.project) == whole
        assert sorted(os.listdir(state)) == records

    def _die(self) -> None:
        """Let go of all that a dead process lets go of."""
        if self.transaction is not None and self.transaction._at >= 0:
            self.transaction._close()
        if self.workspace._lock is not None:
            self.workspace._lock.release()
        self.workspace._places.close()


TestProject = Project.TestCase
TestProject.settings = settings(
    max_examples=settings.default.max_examples // 2, stateful_step_count=25
)
