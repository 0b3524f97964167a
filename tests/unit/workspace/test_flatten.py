"""Each rule by which an upper is merged down, for root and for an ordinary user."""

import os
import stat
from pathlib import Path

import pytest
from tests.unit.workspace.building import Deed, build_natively
from tests.unit.workspace.stacking import START, Stack, Whoever, flattened, marks_of, names_of

from cloche.workspace.effects import Effects


def _is_whiteout(place: Path) -> bool:
    found = place.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def test_a_deletion_of_what_the_project_has_stays_one(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        deeds = (("append", "file", b"2"), ("append", "d/inner/old", b"2"))
        upper = flattened(project, deeds, (("remove", "file"), ("remove", "d")))
        assert names_of(upper) == {"file", "d"}
        assert _is_whiteout(upper / "file")
        assert _is_whiteout(upper / "d")


def test_a_deletion_of_what_only_an_earlier_step_had_leaves_nothing(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        made = (("write", "new", b"1"), ("mkdir", "n"), ("write", "n/new", b"1"))
        upper = flattened(project, made, (("remove", "new"), ("remove", "n")))
        assert names_of(upper) == set()


def test_a_deletion_below_an_opaque_directory_leaves_nothing(whoever: Whoever) -> None:
    """The project has a file of that name, which nobody could see."""

    @whoever
    def _(project: Path) -> None:
        again = (("remove", "d"), ("mkdir", "d"), ("write", "d/old", b"1"), ("mkdir", "d/inner"))
        more = (("write", "d/inner/old", b"1"),)
        upper = flattened(
            project, (*again, *more), (("remove", "d/old"), ("remove", "d/inner/old"))
        )
        assert names_of(upper) == {"d", "d/inner"}
        assert marks_of(upper / "d") >= {"opaque"}


def test_a_deletion_where_the_project_cannot_be_looked_at_stays_one(whoever: Whoever) -> None:
    """The owner of a shut directory opens it in the overlay, and there alone."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *START, ("chmod", "d", 0o000))
        stack = Stack(project, project.parent)
        for deeds in ((("chmod", "d", 0o755),), (("remove", "d/old"),)):
            stack.add()
            stack.do(*deeds)
        upper = stack.flatten()
        assert _is_whiteout(upper / "d/old")
        assert "d/inner" in stack.shown()
        (project / "d").chmod(0o755)


def test_a_deletion_below_a_link_of_the_project_leaves_nothing(whoever: Whoever) -> None:
    """The user made the link meanwhile: what it leads to was never below this name."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *START)
        stack = Stack(project, project.parent)
        first, second = stack.add(), stack.add()
        for upper in (first, second):
            (upper / "n").mkdir()
        (first / "n/old").write_text("1")
        os.mknod(second / "n/old", stat.S_IFCHR)
        (project / "n").symlink_to("d")
        assert names_of(stack.flatten()) == {"n"}


def test_a_deletion_where_the_project_has_what_an_overlay_takes_for_one_leaves_nothing(
    whoever: Whoever,
) -> None:
    """A commit would delete the device, which the program has not seen."""

    @whoever
    def _(project: Path) -> None:
        os.mknod(project / "new", stat.S_IFCHR)
        upper = flattened(project, (("write", "new", b"1"),), (("remove", "new"),))
        assert names_of(upper) == set()


def test_a_deletion_of_what_was_deleted_and_made_again_stays_one(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        again = (("write", "file", b"new"), ("mkdir", "d"), ("write", "d/new", b"1"))
        gone = (("remove", "file"), ("remove", "d"))
        upper = flattened(project, gone, again, gone)
        assert names_of(upper) == {"file", "d"}
        assert _is_whiteout(upper / "d")


def test_a_file_takes_the_place_of_whatever_was_there(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        first = (
            ("append", "file", b"2"),
            ("append", "d/old", b"2"),
            ("write", "new", b"1"),
            ("remove", "link"),
        )
        second = (
            ("append", "file", b"3"),
            ("append", "new", b"3"),
            ("remove", "d"),
            ("write", "d", b"a file"),
            ("symlink", "link", "elsewhere"),
        )
        upper = flattened(project, first, second)
        assert (upper / "file").read_bytes() == b"file23"
        assert (upper / "d").read_bytes() == b"a file"
        assert names_of(upper) == {"file", "d", "new", "link"}


def test_a_new_tree_is_moved_by_one_rename(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        tree: list[Deed] = [("mkdir", "n")]
        for number in range(20):
            tree += [("mkdir", f"n/{number}"), ("write", f"n/{number}/file", b"1")]
        stack = Stack(project, project.parent)
        for deeds in ([("write", "first", b"1")], tree):
            stack.add()
            stack.do(*deeds)
        calls: list[str] = []
        stack.flatten(Effects(lambda call, _: calls.append(call)))
        assert sorted(calls) == ["place", "utime"]


def test_an_opaque_directory_takes_all_of_the_place_and_stays_opaque(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        first = (("write", "d/new", b"1"), ("append", "d/inner/old", b"2"))
        upper = flattened(
            project, first, (("remove", "d"), ("mkdir", "d"), ("write", "d/other", b"1"))
        )
        assert names_of(upper) == {"d", "d/other"}
        assert "opaque" in marks_of(upper / "d")


def test_a_directory_that_only_one_step_changed_goes_on_merging(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        upper = flattened(project, (("append", "file", b"2"),), (("remove", "d/inner/old"),))
        assert names_of(upper) == {"file", "d", "d/inner", "d/inner/old"}
        assert _is_whiteout(upper / "d/inner/old")
        assert "opaque" not in marks_of(upper / "d") | marks_of(upper / "d/inner")


@pytest.mark.parametrize("between", ["nothing", "file", "link"])
def test_a_directory_in_place_of_what_ended_the_layers_becomes_opaque(
    whoever: Whoever, between: str
) -> None:
    """Overlayfs marks it only over something: over a lower layer's whiteout it makes a plain one."""

    @whoever
    def _(project: Path) -> None:
        made: dict[str, tuple[Deed, ...]] = {
            "nothing": (),
            "file": (("write", "d", b"1"),),
            "link": (("symlink", "d", "elsewhere"),),
        }
        first = (("remove", "d"), *made[between])
        second = (*((("remove", "d"),) if made[between] else ()), ("mkdir", "d"))
        upper = flattened(project, first, (*second, ("write", "d/new", b"2")))
        assert names_of(upper) == {"d", "d/new"}
        assert "opaque" in marks_of(upper / "d")


def test_a_plain_directory_over_a_file_hides_what_the_project_has(whoever: Whoever) -> None:
    """No overlay makes one, and the kernel's rule is the same: the layers end at the first that is none."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *START)
        stack = Stack(project, project.parent)
        first, second = stack.add(), stack.add()
        (first / "d").write_text("a file")
        (second / "d").mkdir()
        (second / "d/new").write_text("1")
        shown = stack.shown()
        assert set(shown) == {"", "d", "d/new", "file", "link"}
        upper = stack.flatten()
        assert stack.shown() == shown
        assert "opaque" in marks_of(upper / "d")


def test_directories_that_merge_get_the_mode_the_times_and_the_attributes(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        first = (
            ("chmod", "d", 0o750),
            ("setxattr", "d", "user.kept", b"1"),
            ("setxattr", "d", "user.changed", b"1"),
            ("setxattr", "d", "user.gone", b"1"),
            ("touch", "d", 10**18),
            ("write", "d/inner/a", b"1"),
        )
        stack = Stack(project, project.parent)
        build_natively(project, *START)
        stack.add()
        stack.do(*first)
        upper = stack.add()
        stack.do(("chmod", "d", 0o711), ("write", "d/inner/b", b"1"), ("touch", "d", 10**18 + 7))
        os.setxattr(upper / "d", "user.changed", b"2")
        os.setxattr(upper / "d", "user.new", b"")
        os.removexattr(upper / "d", "user.gone")
        if os.geteuid() == 0:
            os.chown(upper / "d", 4242, 4243)
        os.chmod(upper, 0o700)
        os.utime(upper, ns=(5, 6))
        wanted = {path: (upper / path).stat() for path in ("", "d", "d/inner")}
        flat = stack.flatten()
        for path, found in wanted.items():
            now = (flat / path).stat()
            assert (now.st_mode, now.st_uid, now.st_gid) == (
                found.st_mode,
                found.st_uid,
                found.st_gid,
            )
            assert (now.st_atime_ns, now.st_mtime_ns) == (found.st_atime_ns, found.st_mtime_ns)
        own = [name for name in os.listxattr(flat / "d") if not name.startswith("user.overlay.")]
        assert {name: os.getxattr(flat / "d", name) for name in own} == {
            "user.kept": b"1",
            "user.changed": b"2",
            "user.new": b"",
        }
        assert "origin" in marks_of(flat / "d")


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o555])
def test_modes_that_shut_the_owner_out_are_opened_and_given_back(
    whoever: Whoever, mode: int
) -> None:
    """In either layer, of what merges, of what moves and of what makes way."""

    @whoever
    def _(project: Path) -> None:
        stack = Stack(project, project.parent)
        build_natively(project, *START)
        first, second = stack.add(), stack.add()
        for upper in (first, second):
            for name in ("d/inner", "gone/inner", "swap/inner"):
                (upper / name).mkdir(parents=True)
                (upper / name / upper.name).write_text("1")
            os.setxattr(upper / "swap", "user.overlay.opaque", b"y")
        (second / "moved/inner").mkdir(parents=True)
        (second / "gone/inner" / second.name).unlink()
        (second / "gone/inner").rmdir()
        (second / "gone").rmdir()
        os.mknod(second / "gone", stat.S_IFCHR)
        for upper in (first, second):
            for name in ("moved/inner", "moved", "swap/inner", "swap", "gone", "d/inner", "d", ""):
                if (upper / name).is_dir():
                    (upper / name).chmod(mode)
        shown = stack.shown()
        assert set(shown) >= {"moved/inner", "swap/inner/layer-1", "d/inner/layer-0", "d/old"}
        assert "swap/inner/layer-0" not in shown
        stack.flatten()
        assert stack.shown() == shown
        assert {shown[name][1] for name in ("", "d", "d/inner", "swap", "moved/inner")} == {mode}
