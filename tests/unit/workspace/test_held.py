"""Held transactions: stopped in front of every change they stay whole, and are committed in part."""

import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import Stopped, stop_at

from cloche.model.conflicts import Conflicts
from cloche.model.paths import JailPath
from cloche.workspace import layout
from cloche.workspace.choice import Choice
from cloche.workspace.diff import OPAQUE, ORIGIN
from cloche.workspace.effects import Effects
from cloche.workspace.errors import (
    ChangesRefused,
    EditedMeanwhile,
    JournalDamaged,
    NothingHeld,
    SelectionRefused,
)
from cloche.workspace.held import Held
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

RULES = ScreenRules(
    max_bytes=1 << 20,
    max_file_bytes=1 << 20,
    max_entries=1000,
    may_write=allow_all,
    may_delete=allow_all,
)
Tree = dict[str, tuple[int, bytes]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def make_project(project: Path) -> Path:
    for path in ("src/main.js", "gone.txt", "dist/old.js", "dist/both.js", "olddir/a", "olddir/b"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("before")
    return project


def fill(upper: Path) -> None:
    """Make what an overlay leaves: marks, whiteouts, shut directories and files."""
    for path in ("src/main.js", "dist/new.js", "dist/both.js", "new/a/one", "new/a/two", "new/b/c"):
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        (upper / path).write_text("after")
    os.setxattr(upper / "dist", OPAQUE, b"y")
    os.setxattr(upper / "src/main.js", ORIGIN, b"")
    os.setxattr(upper / "new/a/one", ORIGIN, b"")
    os.setxattr(upper / "new/b", OPAQUE, b"y")
    for path in ("gone.txt", "olddir", "dist/stray", "new/stray"):
        os.mknod(upper / path, stat.S_IFCHR, os.makedev(0, 0))
    (upper / "shut").mkdir()
    (upper / "shut/inside").write_text("after")
    (upper / "src/main.js").chmod(0o444)
    (upper / "new/a").chmod(0o555)
    (upper / "shut").chmod(0)


AFTER = {
    "src/main.js": (0o444, b"after"),
    "dist/new.js": (0o644, b"after"),
    "dist/both.js": (0o644, b"after"),
    "new/a/one": (0o644, b"after"),
    "new/a/two": (0o644, b"after"),
    "new/b/c": (0o644, b"after"),
    "shut/inside": (0o644, b"after"),
}
MODES = {"new/a": 0o555, "shut": 0}


def tree(root: Path) -> tuple[Tree, dict[str, int]]:
    """Give the files, and the modes of unusual directories; leaves all of them open."""
    files: Tree = {}
    modes: dict[str, int] = {}
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        mode = stat.S_IMODE(directory.stat().st_mode)
        if mode & 0o700 != 0o700:
            modes[str(directory.relative_to(root))] = mode
            directory.chmod(0o755)
        for path in directory.iterdir():
            if path.is_dir():
                waiting.append(path)
                continue
            found = path.lstat()
            assert not os.listxattr(path)
            files[str(path.relative_to(root))] = (stat.S_IMODE(found.st_mode), path.read_bytes())
    return files, modes


def hold(project: Path, effects: Effects | None = None, *, verb: str = "run") -> None:
    with closing(Workspace.open(project, project.parent / "state", effects)) as workspace:
        transaction = workspace.begin()
        fill(transaction.upper)
        transaction.hold(verb, hidden=frozenset({"secret"}), when=1.0)


def commit(project: Path, *only: str, effects: Effects | None = None) -> int:
    matchers = {text: _matcher(text) for text in only}
    with closing(Workspace.open(project, project.parent / "state", effects)) as workspace:
        return workspace.commit_held(lambda _: RULES, Choice(only=matchers)).left_out


def _matcher(text: str) -> Callable[[JailPath], bool]:
    return lambda path: str(path) == text


def held(project: Path) -> Held | None:
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        return workspace.held()


def test_a_held_transaction_is_committed_as_it_would_have_been(project: Path) -> None:
    before = tree(project)
    hold(project)
    assert tree(project) == before
    commit(project)
    assert tree(project) == (AFTER, MODES)
    assert held(project) is None


def test_what_is_known_of_it_is_kept(project: Path) -> None:
    hold(project, verb="build")
    found = held(project)
    assert found is not None
    assert (found.verb, found.when, found.hidden) == ("build", 1.0, ("secret",))


def test_a_newer_one_takes_its_place_and_says_so(project: Path) -> None:
    hold(project)
    first = held(project)
    assert first is not None
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        transaction = workspace.begin()
        transaction.put(JailPath.parse("only"), b"this")
        told = transaction.hold("test", hidden=frozenset(), when=2.0)
    assert told is not None
    assert told.replaced == first.transaction
    commit(project)
    assert "only" in tree(project)[0]
    assert "new/b/c" not in tree(project)[0]


def test_a_run_that_did_nothing_is_not_held_and_replaces_nothing(project: Path) -> None:
    hold(project)
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        assert workspace.begin().hold("run", hidden=frozenset(), when=2.0) is None
    assert held(project) is not None


def test_other_runs_and_recovery_leave_it_alone(project: Path) -> None:
    hold(project)
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        assert workspace.recover().held == 1
        transaction = workspace.begin()
        transaction.put(JailPath.parse("other"), b"run")
        transaction.commit(RULES)
    commit(project)
    assert tree(project) == ({**AFTER, "other": (0o644, b"run")}, MODES)


@pytest.mark.parametrize("by_run", [True, False])
def test_a_tree_of_a_tool_is_no_conflict_unless_another_run_replaced_it(
    project: Path, *, by_run: bool
) -> None:
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        transaction = workspace.begin(owned=("dist",))
        fill(transaction.upper)
        transaction.hold("build", hidden=frozenset(), when=1.0)
        if by_run:
            transaction = workspace.begin(owned=("dist",))
            (transaction.upper / "dist").mkdir()
            (transaction.upper / "dist/other.js").write_text("other")
            os.setxattr(transaction.upper / "dist", OPAQUE, b"y")
            transaction.commit(RULES)
        else:
            (project / "dist/old.js").write_text("by a tool")
    if not by_run:
        commit(project)
        assert tree(project) == (AFTER, MODES)
        return
    with pytest.raises(EditedMeanwhile, match="dist"):
        commit(project)
    assert (project / "dist/other.js").read_text() == "other"


def test_it_is_discarded_even_when_its_record_is_damaged(project: Path) -> None:
    hold(project)
    (record,) = (project.parent / "state").glob(f"projects/*/{layout.HELD}*/{layout.HELD_RECORD}")
    record.write_bytes(record.read_bytes()[:-5])
    with pytest.raises(JournalDamaged):
        commit(project)
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        assert workspace.discard_held() is None
        with pytest.raises(NothingHeld):
            workspace.discard_held()


def test_stopped_anywhere_while_it_is_held_it_is_held_or_was_never(tmp_path: Path) -> None:
    outcomes = set()
    for limit in range(200):
        project = make_project(tmp_path / str(limit) / "project")
        before = tree(project)
        try:
            hold(project, stop_at(limit))
            is_whole = True
        except Stopped:
            is_whole = False
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            workspace.recover()
        assert tree(project) == before
        outcomes.add(held(project) is not None)
        if held(project) is not None:
            commit(project)
            assert tree(project) == (AFTER, MODES), limit
        if is_whole:
            break
    assert outcomes == {True, False}


@pytest.mark.parametrize("only", [(), ("new/a/one", "dist", "gone.txt")])
def test_stopped_anywhere_in_its_commit_it_is_still_held_or_committed(
    tmp_path: Path, only: tuple[str, ...]
) -> None:
    whole = make_project(tmp_path / "whole" / "project")
    hold(whole)
    commit(whole, *only)
    expected = tree(whole)
    outcomes = []
    for limit in range(300):
        project = make_project(tmp_path / str(limit) / "project")
        hold(project)
        before = tree(project)
        try:
            commit(project, *only, effects=stop_at(limit))
            outcomes.append("done")
        except Stopped:
            outcomes.append("stopped")
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            workspace.recover()
        if held(project) is not None:
            assert tree(project) == before, limit
            if limit % 2:
                commit(project)  # as if nothing had happened
                assert tree(project) == (AFTER, MODES), limit
                continue
            commit(project, *only)
        assert tree(project) == expected, limit
        if outcomes[-1] == "done":
            break
    assert outcomes[-1] == "done"


def test_a_refusal_leaves_it_as_it_was(project: Path) -> None:
    hold(project)
    strict = ScreenRules(
        max_bytes=1,
        max_file_bytes=1,
        max_entries=1000,
        may_write=allow_all,
        may_delete=allow_all,
    )
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        with pytest.raises(ChangesRefused):
            workspace.commit_held(lambda _: strict)
        workspace.compare(text=True)
    commit(project)
    assert tree(project) == (AFTER, MODES)


@pytest.mark.parametrize(
    ("only", "left_out", "files"),
    [
        (("src/main.js",), 5, {"src/main.js"}),
        (("src",), 5, {"src/main.js"}),
        (("new",), 5, {"new/a/one", "new/a/two", "new/b/c"}),
        (("new/a",), 6, {"new/a/one", "new/a/two"}),
        (("new/a/one",), 7, {"new/a/one"}),
        (("new/a/one", "new/b/c"), 6, {"new/a/one", "new/b/c"}),
        (("gone.txt", "shut"), 4, {"shut/inside"}),
        (("dist",), 5, {"dist/new.js", "dist/both.js"}),
    ],
)
def test_a_part_is_what_the_patterns_mean_and_the_rest_is_gone(
    project: Path, only: tuple[str, ...], left_out: int, files: set[str]
) -> None:
    before, _ = tree(project)
    hold(project)
    assert commit(project, *only) == left_out
    after, modes = tree(project)
    assert {path for path, found in after.items() if before.get(path) != found} == files
    gone = {"gone.txt"} & set(only) | ({"dist/old.js"} if "dist" in only else set())
    assert before.keys() - after.keys() == gone
    assert modes == {
        path: mode for path, mode in MODES.items() if any(f.startswith(path) for f in files)
    }
    assert held(project) is None


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (("dist/new.js",), r"dist is replaced .* take all of it with 'dist'"),
        (("dist/old.js",), r"dist is replaced .* take all of it with 'dist'"),
        (("olddir/a",), r"olddir is replaced .* take all of it with 'olddir'"),
        (("src/main.js", "src/mian.js"), r"'src/mian.js' means no change"),
        (("new/stray",), r"'new/stray' means no change"),
    ],
)
def test_a_part_of_what_is_whole_is_refused_with_what_takes_it(
    project: Path, only: tuple[str, ...], said: str
) -> None:
    hold(project)
    before = tree(project)
    with pytest.raises(SelectionRefused, match=said):
        commit(project, *only)
    assert tree(project) == before
    commit(project)
    assert tree(project) == (AFTER, MODES)


def test_undo_of_a_part_takes_back_that_part(project: Path) -> None:
    before = tree(project)
    hold(project)
    commit(project, "new/a/one", "dist", "olddir")
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        workspace.undo()
    assert tree(project) == before


def test_an_edit_in_the_moment_of_the_exchange_is_kept_aside(project: Path) -> None:
    for choice in Conflicts:
        (project / "src/main.js").write_text("before")

        def before(call: str, detail: str) -> None:
            if (call, detail) == ("exchange", "main.js"):
                (project / "src/main.js").write_text("user, late")

        workspace = Workspace.open(project, project.parent / "state", Effects(before))
        with closing(workspace):
            transaction: Transaction = workspace.begin()
            transaction.put(JailPath.parse("src/main.js"), choice.value.encode())
            done = transaction.commit(RULES, Choice(conflicts=choice))
        assert (project / "src/main.js").read_text() == choice.value
        (said,) = done.late_edits
        place = Path(said.partition("your version: ")[2].rstrip(")"))
        assert place.read_text() == "user, late"


def test_begun_in_the_tick_of_the_last_commit_its_files_are_no_conflict(project: Path) -> None:
    for number in range(20):
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            transaction.put(JailPath.parse("src/main.js"), str(number).encode())
            transaction.commit(RULES)
    assert (project / "src/main.js").read_text() == "19"
