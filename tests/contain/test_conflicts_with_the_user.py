"""The user edits what a run changed: nothing of theirs is lost, whoever of the two wins."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloche import Conflicts, Kernel, KernelSettings, RunOptions
from cloche.kernel.project import Project
from cloche.workspace.errors import EditedMeanwhile
from cloche.workspace.report import Committed

SCRIPT = """
echo run >> src/a.txt; rm gone.txt; rm -r old; echo run > new.txt; mkdir made; echo run > made/f
echo run >> lib/x.txt; rm -r out; mkdir out; echo run > out/built; chmod 700 lib
"""
Tree = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An edit, and what has to be so after it with each choice."""

    edit: Callable[[Path], None]
    stays: tuple[str, ...] = ()
    """Paths at and below which the user's version stays with THEIRS."""
    saved: tuple[str, ...] = ()
    """Contents of the user's that are on the shelf with OURS."""
    overruled: int = 0


def _write(path: str) -> Callable[[Path], None]:
    return lambda root: root.joinpath(path).write_text("user")  # type: ignore[return-value]


def _replace(root: Path) -> None:
    (root / "src/.a.swp").write_text("user")
    (root / "src/.a.swp").rename(root / "src/a.txt")


def _set_back(root: Path) -> None:
    times = (root / "src/a.txt").stat()
    (root / "src/a.txt").write_text("user")
    os.utime(root / "src/a.txt", ns=(times.st_atime_ns, times.st_mtime_ns))


def _swap(root: Path) -> None:
    (root / "lib").rename(root / "lib.before")
    (root / "other").rename(root / "lib")


def _dig(root: Path) -> None:
    (root / "new.txt").mkdir()
    (root / "new.txt/inside").write_text("user")


CASES = {
    "nothing": Case(edit=lambda _: None),
    "a file beside": Case(edit=_write("src/c.txt")),
    "another file": Case(edit=_write("src/b.txt")),
    "the same deletion": Case(edit=lambda root: (root / "gone.txt").unlink()),
    "in place": Case(edit=_write("src/a.txt"), stays=("src/a.txt",), saved=("user",)),
    "rename over": Case(edit=_replace, stays=("src/a.txt",), saved=("user",)),
    "mtime set back": Case(edit=_set_back, stays=("src/a.txt",), saved=("user",)),
    "deleted": Case(
        edit=lambda root: (root / "src/a.txt").unlink(), stays=("src/a.txt",), overruled=1
    ),
    "mode of a file": Case(
        edit=lambda root: (root / "src/a.txt").chmod(0o600), stays=("src/a.txt",), saved=("a",)
    ),
    "what the run deleted": Case(edit=_write("gone.txt"), stays=("gone.txt",), saved=("user",)),
    "in a deleted directory": Case(
        edit=_write("old/one.txt"), stays=("old",), saved=("user", "two")
    ),
    "new in a deleted directory": Case(
        edit=_write("old/new.txt"), stays=("old",), saved=("user", "one", "two")
    ),
    "in a replaced directory": Case(edit=_write("out/o"), stays=("out",), saved=("user",)),
    "the same new file": Case(edit=_write("new.txt"), stays=("new.txt",), saved=("user",)),
    "a directory for the new file": Case(edit=_dig, stays=("new.txt",), saved=("user",)),
    "a file for the new directory": Case(edit=_write("made"), stays=("made",), saved=("user",)),
    "directory swapped": Case(edit=_swap, stays=("lib",), saved=("other",)),
}
CONFLICTS = {name: case for name, case in CASES.items() if case.stays}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    fill(root)
    return root


def fill(root: Path) -> None:
    for path, content in {
        "src/a.txt": "a",
        "src/b.txt": "b",
        "gone.txt": "gone",
        "old/one.txt": "one",
        "old/two.txt": "two",
        "lib/x.txt": "x",
        "other/x.txt": "other",
        "out/o": "o",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)


def within(root: Path, act: Callable[[Project], object]) -> object:
    """Hold a run of SCRIPT, and do the rest with its project."""

    async def scene() -> object:
        async with Kernel.open(KernelSettings(state_home=root.parent / "state")) as kernel:
            project = await kernel.project(root, any_directory=True)
            result = await project.run(("sh", "-c", SCRIPT), RunOptions(hold=True))
            assert result.held
            assert result.committed is None
            return await act(project)  # type: ignore[misc]

    return asyncio.run(scene())


def tree(root: Path) -> Tree:
    return {
        str(path.relative_to(root)): path.read_text() if path.is_file() else "/"
        for path in sorted(root.rglob("*"))
    }


def below(found: Tree, paths: tuple[str, ...]) -> Tree:
    return {
        path: content
        for path, content in found.items()
        if any(path == top or path.startswith(f"{top}/") for top in paths)
    }


def commit_after(root: Path, case: Case, choice: Conflicts) -> tuple[Committed, Tree]:
    """Give the commit of a held run, and what was there before it."""
    seen: list[Tree] = []

    async def act(project: Project) -> Committed:
        case.edit(root)
        seen.append(tree(root))
        return await project.commit(conflicts=choice)

    done = within(root, act)
    assert isinstance(done, Committed)
    return done, seen[0]


def as_run(edited: Tree) -> Tree:
    """Give what the run alone would have made of the tree."""
    gone = below(edited, ("old", "gone.txt", "out", "new.txt", "made"))
    kept = {path: content for path, content in edited.items() if path not in gone}
    made = {"new.txt": "run\n", "made": "/", "made/f": "run\n", "out": "/", "out/built": "run\n"}
    return {**kept, **made, "lib": "/", "lib/x.txt": "xrun\n", "src/a.txt": "arun\n"}


@pytest.mark.parametrize("name", CASES)
def test_by_default_a_conflict_changes_nothing_and_stays_held(root: Path, name: str) -> None:
    case = CASES[name]

    async def act(project: Project) -> None:
        case.edit(root)
        edited = tree(root)
        if case.stays:
            with pytest.raises(EditedMeanwhile):
                await project.commit()
            assert tree(root) == edited
            assert await project.held() is not None
            return
        await project.commit()
        assert tree(root) == as_run(edited)
        assert await project.held() is None

    within(root, act)


@pytest.mark.parametrize("name", CASES)
def test_the_users_version_stays_where_it_is_to_win(root: Path, name: str) -> None:
    case = CASES[name]
    done, edited = commit_after(root, case, Conflicts.THEIRS)
    kept = below(edited, case.stays)
    expected = as_run(edited)
    for path in below(expected, case.stays):
        del expected[path]
    assert tree(root) == {**expected, **kept}
    assert bool(done.dropped) == bool(case.stays)
    assert not done.late_edits


@pytest.mark.parametrize("name", CASES)
def test_the_users_version_is_kept_aside_where_the_run_is_to_win(root: Path, name: str) -> None:
    case = CASES[name]
    done, edited = commit_after(root, case, Conflicts.OURS)
    assert tree(root) == as_run(edited)
    assert len(done.overruled) == case.overruled
    places = [Path(said.partition("your version: ")[2].rstrip(")")) for said in done.late_edits]
    saved = [
        file.read_text()
        for place in places
        for file in ([place] if place.is_file() else sorted(place.rglob("*")))
    ]
    assert sorted(saved) == sorted(case.saved)


def test_a_mode_that_both_changed_is_the_users_or_the_runs(root: Path) -> None:
    for choice, mode in ((Conflicts.THEIRS, 0o750), (Conflicts.OURS, 0o700)):

        async def act(project: Project, choice: Conflicts = choice) -> Committed:
            (root / "lib").chmod(0o750)
            return await project.commit(conflicts=choice)

        done = within(root, act)
        assert isinstance(done, Committed)
        assert (root / "lib").stat().st_mode & 0o777 == mode
        assert (root / "lib/x.txt").read_text() == "xrun\n"
        assert done.dropped or done.overruled == ("lib: you gave it the mode 0750",)
        shutil.rmtree(root)
        shutil.rmtree(root.parent / "state")
        fill(root)


def test_a_directory_of_the_users_outlives_the_undo_record_it_is_in(root: Path) -> None:
    async def act(project: Project) -> tuple[str, ...]:
        (root / "old/one.txt").write_text("user")
        done = await project.commit(conflicts=Conflicts.OURS)
        for number in range(7):
            await project.run(("sh", "-c", f"echo {number} > again"))
        return done.late_edits

    (said,) = within(root, act)  # type: ignore[misc]
    place = Path(said.partition("your version: ")[2].rstrip(")"))
    assert not place.is_symlink()
    assert (place / "one.txt").read_text() == "user"
    assert (place / "two.txt").read_text() == "two"


def test_undo_gives_the_users_version_back(root: Path) -> None:
    async def act(project: Project) -> Tree:
        (root / "old/one.txt").write_text("user")
        (root / "src/a.txt").write_text("mine")
        edited = tree(root)
        done = await project.commit(conflicts=Conflicts.OURS)
        assert len(done.late_edits) == 2
        await project.undo()
        return edited

    assert within(root, act) == tree(root)


def test_what_the_run_may_have_read_can_be_asked_for(root: Path) -> None:
    async def act(project: Project) -> None:
        (root / "src/b.txt").write_text("user")
        for choice in Conflicts:
            with pytest.raises(EditedMeanwhile, match=r"perhaps read by it: src/b\.txt") as refusal:
                await project.commit(check_reads=True, conflicts=choice)
            assert refusal.value.reasons == ("src/b.txt",)
        await project.commit()

    within(root, act)
    assert (root / "src/b.txt").read_text() == "user"


def test_what_tools_and_git_wrote_meanwhile_was_not_read(root: Path) -> None:
    (root / ".git").mkdir()
    (root / "src/.git").mkdir()

    async def act(project: Project) -> None:
        (root / ".git/index").write_text("user")
        (root / "src/.git/index").write_text("user")
        await project.commit(check_reads=True)

    within(root, act)
    assert (root / "new.txt").read_text() == "run\n"


def test_a_commit_of_another_run_is_a_conflict_too(root: Path) -> None:
    async def act(project: Project) -> None:
        await project.run(("sh", "-c", "echo second > new.txt"))
        with pytest.raises(EditedMeanwhile, match=r"new\.txt"):
            await project.commit()

    within(root, act)
    assert (root / "new.txt").read_text() == "second\n"
