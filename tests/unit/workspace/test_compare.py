"""What a diff shows of two trees that may both be hostile."""

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from cloche.model.paths import JailPath
from cloche.workspace.compare import Compared, Comparer, Comparison
from cloche.workspace.diff import Kind
from cloche.workspace.workspace import Workspace


def compared(before: Path, after: Path, *paths: str, text: bool = True) -> Comparison:
    one, other = (os.open(root, os.O_PATH | os.O_DIRECTORY) for root in (before, after))
    try:
        pairs = ((JailPath.parse(path), path, path) for path in paths)
        return Comparer(before=one, after=other, text=text).compare(
            pairs, transaction="t", is_held=True
        )
    finally:
        os.close(one)
        os.close(other)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    return tmp_path / "before", tmp_path / "after"


def by_path(found: Comparison) -> dict[str, Compared]:
    return {str(item.path): item for item in found.items}


def test_sizes_and_kinds_of_both_sides(sides: tuple[Path, Path]) -> None:
    before, after = sides
    (before / "f").write_text("12345\n")
    (after / "f").write_text("123\n")
    (before / "gone").mkdir()
    (before / "gone/in").write_bytes(b"x" * 100)
    (after / "link").symlink_to("a\x1b[2J")
    os.mkfifo(after / "pipe")
    found = by_path(compared(before, after, "f", "gone", "link", "pipe"))
    changed = found["f"]
    assert changed.before is not None
    assert changed.after is not None
    assert (changed.kind, changed.before.size, changed.after.size) == (Kind.REPLACE, 6, 4)
    assert changed.text.lines == ("@@ -1 +1 @@", "-12345", "+123")
    gone = found["gone"].before
    assert gone is not None
    assert (found["gone"].after, gone.entries, gone.size) == (None, 2, 100)
    link = found["link"].after
    assert link is not None
    assert link.target == "a\\x1b[2J"
    assert found["pipe"].after is not None
    assert found["pipe"].after.kind == "other"


def test_a_replaced_directory_lists_what_differs_inside(sides: tuple[Path, Path]) -> None:
    before, after = sides
    for root in sides:
        (root / "dist/deep").mkdir(parents=True)
        (root / "dist/same").write_text("same")
        (root / "dist/deep/changed").write_text(root.name)
    (before / "dist/old").write_text("old")
    (after / "dist/new").mkdir()
    (after / "dist/new/file").write_text("new")
    os.mknod(after / "dist/stray", stat.S_IFCHR, os.makedev(0, 0))
    found = by_path(compared(before, after, "dist"))
    assert found.keys() == {"dist/deep/changed", "dist/old", "dist/new", "dist/new/file"}


def test_many_differences_inside_are_cut_with_a_note(sides: tuple[Path, Path]) -> None:
    before, after = sides
    for root in sides:
        (root / "d").mkdir()
    for number in range(1200):
        (after / f"d/{number}").write_text("x")
    found = compared(before, after, "d")
    assert len(found.items) == 1000
    assert found.notes == ("d: more than 1000 differences inside",)


def test_a_large_new_directory_is_counted_and_not_listed(sides: tuple[Path, Path]) -> None:
    before, after = sides
    (after / "modules").mkdir()
    for number in range(100):
        (after / f"modules/{number}").write_text("xx")
    (item,) = compared(before, after, "modules").items
    assert item.after is not None
    assert (item.after.entries, item.after.size) == (101, 200)


def test_links_are_not_followed_and_a_pipe_is_not_waited_for(sides: tuple[Path, Path]) -> None:
    before, after = sides
    secret = before.parent / "secret"
    secret.mkdir()
    (secret / "key").write_text("SECRET")
    for root in sides:
        (root / "d").mkdir()
    (before / "d/x").write_text("1")
    (after / "d/x").symlink_to(secret / "key")
    (before / "d/y").mkdir()
    (after / "d/y").symlink_to(secret)
    (before / "d/z").write_text("")
    os.mkfifo(after / "d/z")
    found = compared(before, after, "d")
    assert len(found.items) == 3
    assert not any("SECRET" in line for item in found.items for line in item.text.lines)


def test_a_file_that_cannot_be_read_is_told_so(sides: tuple[Path, Path]) -> None:
    before, after = sides
    (after / "big").write_bytes(b"x" * (2 << 20))
    (item,) = compared(before, after, "big").items
    assert "longer than" in item.text.note


def test_nothing_at_all_is_no_comparison(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    with closing(Workspace.open(tmp_path / "project", tmp_path / "state")) as workspace:
        assert workspace.compare() == Comparison()
