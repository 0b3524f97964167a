"""Projects on file systems that can hold a transaction work, and on others nothing begins."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contain.test_on_other_grounds import DEEDS, _cloche, _fill, _seen
from tests.crash.proof.medium import Lacking, mounted, run, unmount

from cloche.workspace.errors import StateUnavailable
from cloche.workspace.workspace import Workspace

RENAMED = "mv kept renamed; mkdir -p plain/below; mv plain/below plain/moved"
FAT = ("mkfs.vfat",)


def _places(top: Path, home: Path, prefix: tuple[str, ...]) -> Path:
    project = top / "work/project"
    project.mkdir(parents=True)
    (home / "home").mkdir()
    _fill(project)
    if prefix:
        for root in (top / "work", home):
            for each in (root, *root.rglob("*")):
                os.lchown(each, 65534, 65534)
    return project


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cloche-home-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs"])
def test_a_command_is_committed_and_taken_back_on(
    kind: str, home: Path, prefix: tuple[str, ...]
) -> None:
    with contextlib.ExitStack() as held:
        try:
            medium = held.enter_context(mounted(kind))
        except Lacking as error:
            pytest.skip(f"{kind}: {error}")
        medium.root.parent.chmod(0o755)
        project = _places(medium.root, home, prefix)
        before = _seen(project)
        words = ("--project", str(project), "--", "sh", "-c", f"{DEEDS}{RENAMED}")
        told = _cloche(home, prefix, "run", *words)
        assert told[-1]["outcome"] == "ok", told[-1]
        assert not any("overlays are refused" in str(each.get("text")) for each in told)
        after = _seen(project)
        assert after["renamed/k"] == before["kept/k"]
        assert after["links"] == (2, "")
        assert not {"deleted", "kept", "gone"} & after.keys()
        assert {"added", "plain/moved", "tree/new", "turned/x", "deep/er"} <= after.keys()
        shown = str(_cloche(home, prefix, "diff", str(project)))
        assert all(name in shown for name in ("added", "replaced", "deleted", "renamed", "gone"))
        words = ("--project", str(project), "--", "sh", "-c", "echo more >> added; exit 3")
        _cloche(home, prefix, "run", *words)
        assert _seen(project) == after
        _cloche(home, prefix, "undo", str(project))
        assert _seen(project) == before
        (state,) = (project.parent / ".cloche-state").iterdir()
        assert not [n for n in os.listdir(state) if n.startswith(("tx-", "dead-", "journal"))]


def _needs(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")


@contextlib.contextmanager
def _mounted_fat(top: Path, program: tuple[str, ...]) -> Iterator[None]:
    (top / "m").mkdir()
    run("truncate", "-s", "64M", str(top / "image"))
    run("mkfs.vfat", str(top / "image"))
    run(*program, str(top / "image"), str(top / "m"))
    try:
        yield
    finally:
        unmount(top / "m")


@contextlib.contextmanager
def _vfat(top: Path, options: str) -> Iterator[None]:
    _needs("mkfs.vfat")
    if "\tvfat\n" not in Path("/proc/filesystems").read_text():
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["modprobe", "vfat"], capture_output=True, check=False)
    if "\tvfat\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("vfat: this kernel has it not")
    with _mounted_fat(top, ("mount", "-t", "vfat", "-o", f"loop,{options}")):
        yield


@contextlib.contextmanager
def _fusefat(top: Path) -> Iterator[None]:
    _needs("mkfs.vfat", "fusefat")
    with _mounted_fat(top, ("fusefat", "-o", "rw+,allow_other")):
        yield


@contextlib.contextmanager
def _bindfs(top: Path, options: tuple[str, ...] = ("--perms=a+rwX",)) -> Iterator[None]:
    _needs("bindfs")
    for name in ("s", "m"):
        (top / name).mkdir(mode=0o777)
    run("bindfs", *options, str(top / "s"), str(top / "m"))
    try:
        yield
    finally:
        unmount(top / "m")


UNFIT = {
    "vfat": lambda top: _vfat(top, "uid=65534,gid=65534"),
    "vfat private": lambda top: _vfat(top, "uid=65534,gid=65534,umask=077"),
    "fat through fuse": _fusefat,
    "a file system in user space": _bindfs,
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_file_system_that_cannot_hold_a_transaction_is_refused(
    kind: str, home: Path, prefix: tuple[str, ...]
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="cloche-unfit-") as name,
        contextlib.ExitStack() as held,
    ):
        top = Path(name)
        top.chmod(0o755)
        try:
            held.enter_context(UNFIT[kind](top))
        except Lacking as error:
            pytest.skip(f"{kind}: {error}")
        project = top / "m/work/project"
        project.mkdir(parents=True)
        (project / "file").write_text("1")
        (home / "home").mkdir()
        if prefix:
            for each in (home, home / "home"):
                os.chown(each, 65534, 65534)
            with contextlib.suppress(OSError):
                os.chown(project.parent, 65534, 65534)
        words = ("--project", str(project), "--", "sh", "-c", "echo 2 > file")
        for verb, more in (("run", words), ("undo", (str(project),)), ("diff", (str(project),))):
            last = _cloche(home, prefix, verb, *more)[-1]
            assert last["code"] == "state-unavailable", last
            assert "ext4" in str(last["remedy"])
        if not prefix:
            with pytest.raises(StateUnavailable, match=r"exchange|links|modes"):
                Workspace.open(project, home / "other")
        assert (project / "file").read_text() == "1"
        assert sorted(each.name for each in (top / "m").rglob("*")) == ["file", "project", "work"]
        left = [each for each in home.rglob("*") if each.parent.name == "projects"]
        assert left == []


def test_a_state_that_was_moved_to_such_a_file_system_begins_nothing(home: Path) -> None:
    """The trial at the opening is for a new state; an old one is tried at each begin."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(_bindfs(home, ()))
        except Lacking as error:
            pytest.skip(f"a file system in user space: {error}")
        project = home / "m/project"
        project.mkdir()
        digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:20]
        state = home / "m/.cloche-state" / digest
        state.mkdir(parents=True, mode=0o700)
        (state / "lock").touch()
        with contextlib.closing(Workspace.open(project, home / "other")) as workspace:
            for _ in range(2):
                with pytest.raises(StateUnavailable, match="exchange"):
                    workspace.begin()
        assert os.listdir(state) == ["lock"]
