"""What a commit and an undo carry along, and what the disk may do meanwhile.

Numbers are those of the edge cases of the design.
"""

import contextlib
import errno
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import (
    RULES,
    build,
    build_natively,
    commit,
    in_child,
    own_namespaces,
    seen,
    undo,
)

from cloche.errors import SystemRefused
from cloche.workspace.effects import Effects
from cloche.workspace.errors import ChangesRefused, EditedMeanwhile, RecoveryNeeded
from cloche.workspace.workspace import Workspace
from cloche_launch import calls

Whoever = Callable[[Callable[[Path], None]], None]
# A list of access rights as the kernel takes it, linux/posix_acl_xattr.h: version, then tag, rights
# and id of the owner, user 1234, the group, the mask and others.
ACL = struct.pack(
    "<I" + "HHI" * 5,
    *(2, 1, 6, 0xFFFF_FFFF, 2, 4, 1234, 4, 4, 0xFFFF_FFFF),
    *(16, 4, 0xFFFF_FFFF, 32, 4, 0xFFFF_FFFF),
)
# cap_net_raw in the permitted set, linux/capability.h: VFS_CAP_REVISION_2 with the effective bit.
CAPABILITY = struct.pack("<IIIII", 0x0200_0001, 1 << 13, 0, 0, 0)


def _moves(project: Path) -> None:
    """A directory is replaced, another deleted, a third is new: each with the times it had."""
    for name in ("replaced", "deleted"):
        build_natively(project, ("mkdir", name), ("write", f"{name}/file", b"1"))
    build_natively(project, ("touch", "replaced", 10**18), ("touch", "deleted", 10**18 + 1))
    before = seen(project)
    shown = commit(
        project,
        *(("remove", "deleted"), ("remove", "replaced"), ("mkdir", "replaced"), ("mkdir", "new")),
        *(("touch", "replaced", 10**18 + 2), ("touch", "new", 10**18 + 3)),
    )
    assert seen(project) == shown
    undo(project)
    assert seen(project) == before


def test_a_directory_that_moves_keeps_its_times(whoever: Whoever) -> None:
    """12: to the nanosecond, where the file system leaves them alone."""
    whoever(_moves)


def test_a_directory_that_moves_keeps_its_times_on_xfs(tmp_path: Path) -> None:
    """12: xfs changes a directory's own mtime when it moves to another parent."""
    if os.geteuid() != 0 or not shutil.which("mkfs.xfs"):
        pytest.skip("a mounted image: takes root and mkfs.xfs")
    image, place = tmp_path / "image", tmp_path / "place"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", str(image)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], check=False)
    if mounted.returncode:
        pytest.skip("a mounted image: this machine mounts none")
    try:
        (place / "project").mkdir(mode=0o755)
        in_child(lambda: _moves(place / "project"))
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_transaction_that_did_nothing_leaves_nothing(whoever: Whoever) -> None:
    """13: also one that made and deleted, or only looked."""

    @whoever
    def _(project: Path) -> None:
        (project / "file").write_text("1")
        before = seen(project)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            for deeds in ((), (("write", "new", b"1"), ("remove", "new"))):
                transaction = workspace.begin()
                build(transaction, *deeds)
                transaction.commit(RULES)
                assert seen(project) == before
                assert workspace.history() == ()


def test_a_mode_alone_is_committed_and_taken_back(whoever: Whoever) -> None:
    """13: of the project itself, of a directory, of a file."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, ("mkdir", "d"), ("write", "d/file", b"1"))
        states = [seen(project)]
        for path in ("", "d", "d/file"):
            shown = commit(project, ("chmod", path or ".", 0o700))
            assert seen(project) == shown
            assert shown[path][1] == 0o700
            states.append(shown)
        for state in reversed(states[:-1]):
            undo(project)
            assert seen(project) == state


def test_a_transaction_may_follow_a_commit_in_the_same_tick(whoever: Whoever) -> None:
    """15: what the commit before it installed is no edit of the user, and what he does next is one."""

    @whoever
    def _(project: Path) -> None:
        (project / "file").write_text("0")
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            for number in range(20):
                transaction = workspace.begin()
                shown = build(transaction, ("write", "file", str(number).encode()))
                transaction.commit(RULES)
                assert seen(project) == shown
            transaction = workspace.begin()
            (project / "file").write_text("by hand")
            build(transaction, ("append", "file", b"!"))
            with pytest.raises(EditedMeanwhile):
                transaction.commit(RULES)
            assert (project / "file").read_text() == "by hand"


def _full_after_the_mark(left: int) -> Effects:
    marked = False

    def before(call: str, detail: str) -> None:
        nonlocal left, marked
        left -= marked
        if left < 0:
            raise OSError(errno.ENOSPC, "no space")
        marked = marked or (call, detail) == ("rename", "journal")

    return Effects(before)


def test_a_disk_that_fills_after_the_mark_is_waited_for(whoever: Whoever) -> None:
    """17: each call after the mark refused with ENOSPC: the commit is completed by a recovery."""

    def ended_without(project: Path, calls: int) -> bool:
        """Tell whether a commit ended that had the disk for so many calls after the mark."""
        (project / "gone").write_text("1")
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            shown = build(transaction, ("remove", "gone"), ("mkdir", "d"), ("write", "f", b"1"))
            transaction._effects = _full_after_the_mark(calls)
            ended = True
            try:
                transaction.commit(RULES)
            except (RecoveryNeeded, SystemRefused, OSError):
                ended = False
            workspace.recover()
            assert seen(project) == shown
        return ended

    @whoever
    def _(stage: Path) -> None:
        for calls_left in range(100):
            project = stage / str(calls_left) / "project"
            project.mkdir(parents=True)
            if ended_without(project, calls_left):
                return
        raise AssertionError("it never ended")


def test_a_disk_that_is_truly_full_stops_a_commit_before_or_lets_it_end(whoever: Whoever) -> None:
    """17: a small file system, filled at each moment of a commit."""

    def at(moment: int, stage: Path) -> bool:
        """Tell whether the commit ended before `moment`."""
        place = stage / "small"
        place.mkdir(exist_ok=True)
        own_namespaces()
        calls.mount("tmpfs", str(place), "tmpfs", 0, "size=2m,nr_inodes=200")
        project, count = place / "project", 0
        project.mkdir()
        build_natively(project, ("write", "gone", b"1"), ("mkdir", "d"))

        def fill(_call: str, _detail: str) -> None:
            nonlocal count
            count += 1
            if count == moment:
                with contextlib.suppress(OSError):
                    (place / "filler").write_bytes(bytes(4 << 20))

        before = seen(project)
        workspace = Workspace.open(project, place / "state")
        transaction = workspace.begin()
        shown = build(transaction, ("remove", "gone"), ("write", "d/new", b"x" * 100))
        transaction._effects = Effects(fill)
        with contextlib.suppress(OSError, SystemRefused, RecoveryNeeded):
            transaction.commit(RULES)
        (place / "filler").unlink(missing_ok=True)
        workspace._effects = Effects()
        workspace.recover()
        assert seen(project) in (before, shown)
        return count < moment

    @whoever
    def _(project: Path) -> None:
        for moment in range(1, 100):
            if in_child(lambda moment=moment: at(moment, project.parent)):
                return
        raise AssertionError("it never ended")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_does_not_take_the_layer_stops_the_commit(whoever: Whoever, code: int) -> None:
    """18: an error of syncfs(2) before the mark, and nothing is changed."""

    def before(call: str, _detail: str) -> None:
        if call == "syncfs":
            raise OSError(code, os.strerror(code))

    @whoever
    def _(project: Path) -> None:
        (project / "file").write_text("1")
        whole = seen(project)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            build(transaction, ("append", "file", b"2"))
            transaction._effects = Effects(before)
            with pytest.raises((OSError, SystemRefused), match=os.strerror(code)):
                transaction.commit(RULES)
            assert seen(project) == whole
            transaction._effects = Effects()
            transaction.rollback()
            assert not workspace.recover().completed
        assert seen(project) == whole


def test_git_sees_what_a_commit_changed_and_an_undo_took_back(whoever: Whoever) -> None:
    """22: the files are new inodes with new ctimes, and git's index must not be fooled."""
    if not shutil.which("git"):
        pytest.skip("git: this machine has none")

    @whoever
    def _(project: Path) -> None:
        def git(*arguments: str) -> str:
            return subprocess.run(
                ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments],
                cwd=project,
                env={"PATH": os.environ["PATH"], "HOME": str(project.parent)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout

        for name in ("kept", "changed", "deleted"):
            (project / name).write_text("same size")
        git("init", "-q")
        git("add", ".")
        git("commit", "-qm", "first")
        shown = commit(project, ("write", "changed", b"size same"), ("remove", "deleted"))
        assert (project / "changed").read_bytes() == shown["changed"][2]
        assert git("status", "--porcelain").split("\n") == [" M changed", " D deleted", ""]
        undo(project)
        assert git("status", "--porcelain") == ""
        commit(project, ("append", "changed", b"."))
        git("commit", "-qam", "second")
        assert git("status", "--porcelain") == ""


def test_holes_and_attributes_move_with_their_file(whoever: Whoever) -> None:
    """23: sparse files, the user's own attributes and access lists, in by a commit, back by an undo."""

    @whoever
    def _(project: Path) -> None:
        for name in ("old", "other"):
            (project / name).write_text("1")
            os.setxattr(project / name, "user.mine", b"old")
            os.setxattr(project / name, "system.posix_acl_access", ACL)
        before = seen(project)
        with closing(Workspace.open(project, project.parent / "state")) as workspace:
            transaction = workspace.begin()
            build(transaction, ("append", "old", b"2"), ("remove", "other"))
            os.setxattr(transaction.upper / "old", "user.mine", b"new")
            with open(transaction.upper / "sparse", "wb") as file:
                file.truncate(1 << 30)
                os.fchmod(file.fileno(), 0o644)
            transaction.commit(RULES)
        assert (project / "sparse").stat().st_blocks * 512 < 1 << 20
        assert os.getxattr(project / "old", "user.mine") == b"new"
        assert os.getxattr(project / "old", "system.posix_acl_access") == ACL
        assert not [m for m in os.listxattr(project / "old") if m.startswith("user.overlay.")]
        undo(project)
        assert seen(project) == before
        for name in ("old", "other"):
            assert os.getxattr(project / name, "user.mine") == b"old"
            assert os.getxattr(project / name, "system.posix_acl_access") == ACL


@pytest.mark.skipif(os.geteuid() != 0, reason="cap-setfcap: giving capabilities takes root")
def test_capabilities_come_back_by_an_undo_and_never_in_by_a_commit() -> None:
    """23: a file that has some is replaced and put back; a new one that has some is refused."""

    def scene() -> None:
        with tempfile.TemporaryDirectory() as name:
            project = Path(name, "project")
            project.mkdir()
            (project / "tool").write_text("1")
            os.setxattr(project / "tool", "security.capability", CAPABILITY)
            commit(project, ("remove", "tool"), ("write", "tool", b"2"))
            assert "security.capability" not in os.listxattr(project / "tool")
            undo(project)
            assert os.getxattr(project / "tool", "security.capability") == CAPABILITY
            with closing(Workspace.open(project, Path(name, "state"))) as workspace:
                transaction = workspace.begin()
                build(transaction, ("write", "mine", b"1"))
                os.setxattr(transaction.upper / "mine", "security.capability", CAPABILITY)
                with pytest.raises(ChangesRefused, match="capabilities"):
                    transaction.commit(RULES)

    in_child(scene)
