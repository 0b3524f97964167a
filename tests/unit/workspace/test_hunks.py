"""Hunks of a commit: bounded, and of both versions."""

from contextlib import closing
from pathlib import Path

from tests.unit.workspace.building import RULES

from cloche.model.paths import JailPath
from cloche.workspace.hunks import compare
from cloche.workspace.workspace import Workspace


def test_a_commit_is_told_line_by_line(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "dist").mkdir(parents=True)
    (project / "a.txt").write_text("one\ntwo\n")
    (project / "dist/old.js").write_text("old\n")
    with closing(Workspace.open(project, tmp_path / "state")) as workspace:
        transaction = workspace.begin()
        transaction.put(JailPath.parse("a.txt"), b"one\nthree\n")
        tree = transaction.scratch("tree")
        (tree / "new.js").write_text("new\n")
        (tree / "picture").write_bytes(b"\0")
        transaction.take_tree(tree, JailPath.parse("dist"))
        transaction.commit(RULES)
        texts = {text.path: text for text in workspace.texts()}
        sizes = [(str(c.path), c.size_before, c.size) for c in workspace.changes().items]
    assert texts["a.txt"].lines[-2:] == ("-two", "+three")
    assert texts["dist/old.js"].lines[-1] == "-old"
    assert texts["dist/new.js"].lines[-1] == "+new"
    assert texts["dist/picture"].why_none == "not text"
    assert sizes == [("a.txt", 8, 10), ("dist", 0, 0)]


def test_what_is_long_is_cut() -> None:
    many = b"".join(b"%d\n" % n for n in range(5000))
    found = compare("a", b"", many)
    assert found is not None
    assert found.lines[-1] == "... 4603 more lines"
    assert compare("a", many, many) is None
    too_long = compare("a", None, b"")
    assert too_long is not None
    assert too_long.why_none.startswith("longer than")
