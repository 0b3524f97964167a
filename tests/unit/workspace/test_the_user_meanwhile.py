"""What a person does while a transaction is open. Numbers are those of the edge cases of the design."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import (
    RULES,
    Deed,
    build,
    build_natively,
    commit,
    in_child,
    own_namespaces,
    seen,
    undo,
    without_times,
)

from cloche.workspace.discard import remove_tree
from cloche.workspace.effects import Effects
from cloche.workspace.errors import EditedMeanwhile, PathBlocked
from cloche.workspace.workspace import Workspace
from cloche_launch import calls

Whoever = Callable[[Callable[[Path], None]], None]
_BIND = 0x1000  # MS_BIND, linux/mount.h

START: tuple[Deed, ...] = (
    ("mkdir", "d"),
    ("mkdir", "d/in"),
    ("write", "d/in/file", b"1"),
    ("write", "file", b"1"),
    ("mkdir", "other"),
    ("write", "other/file", b"other"),
)
CONFLICTS: dict[str, tuple[tuple[Deed, ...], tuple[Deed, ...]]] = {
    "the same new file": ((("write", "new", b"1"),), (("write", "new", b"2"),)),
    "the same file": ((("append", "file", b"2"),), (("append", "file", b"3"),)),
    "a file replaced": (
        (("append", "file", b"2"),),
        (("remove", "file"), ("write", "file", b"3")),
    ),
    "a file deleted": ((("append", "file", b"2"),), (("remove", "file"),)),
    "a deleted file": ((("remove", "file"),), (("append", "file", b"3"),)),
    "an edit in a deleted directory": ((("remove", "d"),), (("append", "d/in/file", b"3"),)),
    "a new file in a deleted directory": ((("remove", "d"),), (("write", "d/in/new", b"3"),)),
    "an edit in a replaced directory": (
        (("remove", "d"), ("mkdir", "d")),
        (("append", "d/in/file", b"3"),),
    ),
    "a directory swapped": (
        (("append", "d/in/file", b"2"),),
        (("rename", "d/in", "aside"), ("rename", "other", "d/in")),
    ),
    "an mtime set back": (
        (("append", "file", b"2"),),
        (("append", "file", b"3"), ("touch", "file", 10**18)),
    ),
    "a mode": ((("chmod", "file", 0o755),), (("chmod", "file", 0o600),)),
    "the mode of a directory": ((("chmod", "d", 0o700),), (("chmod", "d", 0o711),)),
    "a directory over a file": (
        (("remove", "file"), ("mkdir", "file")),
        (("append", "file", b"3"),),
    ),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_a_conflict_leaves_the_project_as_the_user_left_it(whoever: Whoever, case: str) -> None:
    """14: each way two can meet, and the ctime tells, whatever was done to the times."""
    ours, theirs = CONFLICTS[case]

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *START)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            build(transaction, *ours)
            edited = build_natively(project, *theirs)
            with pytest.raises(EditedMeanwhile):
                transaction.commit(RULES)
            assert seen(project) == edited


BESIDE: dict[str, tuple[tuple[Deed, ...], tuple[Deed, ...]]] = {
    "another file": ((("append", "file", b"2"),), (("append", "other/file", b"3"),)),
    "a new file beside": ((("append", "d/in/file", b"2"),), (("write", "d/in/new", b"3"),)),
    "both deleted": ((("remove", "file"),), (("remove", "file"),)),
}


@pytest.mark.parametrize("case", BESIDE)
def test_an_edit_beside_is_no_conflict_and_both_stand(whoever: Whoever, case: str) -> None:
    """14: or nobody could work while a build runs."""
    ours, theirs = BESIDE[case]

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *START)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            build(transaction, *ours)
            build_natively(project, *theirs)
            shown = build(transaction)
            transaction.commit(RULES)
        assert {path: entry[:4] for path, entry in seen(project).items()} == {
            path: entry[:4] for path, entry in shown.items()
        }


WRITER = """
import mmap, os
file = open("written", "w+b", buffering=0)
file.write(bytes(4096))
mapped = mmap.mmap(file.fileno(), 4096)
if os.fork() == 0:
    os.setsid()
    for stream in (0, 1, 2):
        os.close(stream)
    open("started", "w").close()
    while True:
        mapped[0] = (mapped[0] + 1) % 256
        file.seek(0, 2)
        file.write(b"late")
while not os.path.exists("started"):
    pass
"""


def test_what_a_run_left_running_writes_nothing_after_the_commit(tmp_path: Path) -> None:
    """16: it had the file open and mapped, and it is gone before anything is committed."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3, which the sandbox shows")
    project = tmp_path / "project"
    project.mkdir()

    def cloche(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "cloche", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        )
        assert done.returncode == 0, done.stderr

    cloche("run", "--project", str(project), "--", "/usr/bin/python3", "-c", WRITER)
    committed = seen(project)
    assert len(committed["written"][2]) >= 4096
    # It would have had all the time of another run.
    cloche("run", "--project", str(project), "--", "true")
    assert seen(project) == committed


def test_a_project_that_is_renamed_gets_the_commit_and_its_old_name_none(whoever: Whoever) -> None:
    """21: the directory that was opened is meant, not what its path leads to by now."""

    @whoever
    def _(project: Path) -> None:
        (project / "file").write_text("1")
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            shown = build(transaction, ("append", "file", b"2"), ("mkdir", "d"))
            moved = project.rename(project.parent / "moved")
            project.symlink_to(project.parent / "trap")
            (project.parent / "trap").mkdir()
            (project.parent / "trap/file").write_text("not yours")
            trap = seen(project.parent / "trap")
            transaction.commit(RULES)
            # Not the times of the project itself: its renaming was an edit of it.
            assert without_times(seen(moved)) == without_times(shown)
            assert seen(project.parent / "trap") == trap


def test_a_project_may_be_named_through_a_link(whoever: Whoever) -> None:
    """21: and has one state whichever way it is named."""

    @whoever
    def _(project: Path) -> None:
        (project / "file").write_text("1")
        before = seen(project)
        link = project.parent / "link"
        link.symlink_to("project")
        shown = commit(link, ("append", "file", b"2"))
        assert seen(project) == shown
        undo(project)
        assert seen(project) == before


IN_MOUNTS: dict[str, tuple[Deed, ...]] = {
    "written in": (("write", "there/new", b"1"),),
    "deleted": (("remove", "there"),),
    "replaced": (("remove", "there"), ("mkdir", "there"), ("write", "there/new", b"1")),
    "deleted from above": (("remove", "above"),),
    "replaced from above": (("remove", "above"), ("symlink", "above", "file")),
    "a file, written": (("append", "file", b"2"),),
    "a file, deleted": (("remove", "file"),),
}


@pytest.mark.parametrize("owned", [(), ("there",)])
@pytest.mark.parametrize("case", IN_MOUNTS)
def test_what_is_mounted_in_a_project_stops_a_commit_before_it_starts(
    whoever: Whoever, case: str, owned: tuple[str, ...]
) -> None:
    """21: a rename to or of a mounted place is EXDEV or EBUSY, and that after the mark."""

    def scene(project: Path) -> None:
        outside = project.parent / "outside"
        for place in (outside, project / "there", project / "above", project / "above/there"):
            place.mkdir()
        for file in (outside / "kept", project / "file"):
            file.write_text("1")
        own_namespaces()
        for place in (project / "there", project / "above/there"):
            calls.mount(str(outside), str(place), None, _BIND)
        calls.mount(str(outside / "kept"), str(project / "file"), None, _BIND)
        before = seen(project)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin(owned=owned)
            build(transaction, *IN_MOUNTS[case])
            with pytest.raises(PathBlocked):
                transaction.commit(RULES)
            assert seen(project) == before
            transaction.rollback()
            assert not workspace.recover().completed

    whoever(lambda project: in_child(lambda: scene(project)))


def test_what_is_mounted_in_a_directory_is_not_thrown_away_with_it(whoever: Whoever) -> None:
    """21: a mount moves with the directory that holds it, also one a commit may replace unseen."""

    def scene(project: Path) -> None:
        outside, place = project.parent / "outside", project / "owned/deep"
        outside.mkdir()
        place.mkdir(parents=True)
        (outside / "kept").write_text("1")
        own_namespaces()
        calls.mount(str(outside), str(place), None, _BIND)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            for _ in range(7):
                transaction = workspace.begin(owned=("owned",))
                build(transaction, ("remove", "owned"), ("mkdir", "owned"))
                transaction.commit(RULES)
        assert (outside / "kept").read_text() == "1"
        (project / "thrown").mkdir()
        calls.mount(str(outside), str(project / "thrown"), None, _BIND)
        directory = os.open(project, os.O_RDONLY | os.O_DIRECTORY)
        with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
            remove_tree(directory, "thrown", Effects())
        assert (outside / "kept").read_text() == "1"

    whoever(lambda project: in_child(lambda: scene(project)))
