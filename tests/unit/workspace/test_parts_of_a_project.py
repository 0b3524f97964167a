"""Directories of one project, each built through an overlay of its own, committed as one."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.workspace.building import RULES, build, build_natively, seen, undo

from cloche.model.paths import JailPath
from cloche.workspace.errors import EditedMeanwhile, PathBlocked
from cloche.workspace.workspace import Workspace

Whoever = Callable[[Callable[[Path], None]], None]
ODD = "we,b:upperdir=\\x=\x1b[2J"
PROJECT = (
    ("mkdir", "web"),
    ("write", "web/old", b"web"),
    ("mkdir", "services"),
    ("mkdir", "services/api"),
    ("write", "services/api/old", b"api"),
    ("write", "README", b"all"),
)


def opened(project: Path) -> "closing[Workspace]":
    return closing(Workspace.open(project, project.parent / "state"))


def test_parts_are_built_apart_and_committed_as_one(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT)
        before = seen(project)
        with opened(project) as workspace:
            transaction = workspace.begin(owned=("web/node_modules",))
            web, api = transaction.part("web"), transaction.part("services/api")
            shown = build(web, ("write", "new", b"1"), ("remove", "old"))
            assert set(shown) == {"", "new"}
            shown = build(api, ("mkdir", "out"), ("write", "out/file", b"2"))
            assert set(shown) == {"", "old", "out", "out/file"}
            assert seen(project) == before
            transaction.commit(RULES)
        assert {path for path in seen(project) if "/" in path} == {
            "web/new",
            "services/api",
            "services/api/old",
            "services/api/out",
            "services/api/out/file",
        }
        undo(project)
        assert seen(project) == before


def test_what_the_kernel_puts_into_a_part_is_where_the_part_sees_it(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT)
        with opened(project) as workspace:
            transaction = workspace.begin()
            api = transaction.part("services/api")
            api.put(JailPath.parse("lock"), b"3")
            made = api.scratch("out") / "tree"
            made.mkdir()
            (made / "file").write_bytes(b"4")
            api.take(made, JailPath.parse("taken"))
            assert api.read(JailPath.parse("lock"), limit=10) == b"3"
            assert transaction.read(JailPath.parse("services/api/taken/file"), limit=10) == b"4"
            names = {str(entry.path) for entry in api.names()}
            assert names == {"old", "lock", "taken", "taken/file"}
            assert {str(entry.path) for entry in api.names("taken")} == {"taken", "taken/file"}
            assert {str(e.path) for e in api.names(exclude=("taken/file", "old"))} == {
                "lock",
                "taken",
            }
            assert set(build(api)) == {"", "old", "lock", "taken", "taken/file"}
            around = {str(entry.path) for entry in api.around(limit=100)}
            assert around == {"README", "services", "web", "web/old"}


def test_names_that_options_of_a_mount_would_misread_are_names(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        (project / ODD).mkdir()
        with opened(project) as workspace:
            transaction = workspace.begin()
            build(transaction.part(ODD), ("write", "new", b"1"))
            changes = transaction.diff()
            assert [str(change.path) for change in changes.items] == [f"{ODD}/new"]


def test_a_part_that_is_a_link_or_leaves_the_project_is_none(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        (project.parent / "outside").mkdir()
        (project / "link").symlink_to("../outside")
        (project / "file").write_bytes(b"")
        with opened(project) as workspace:
            transaction = workspace.begin()
            for prefix in ("link", "file", "absent", "link/below"):
                with pytest.raises(PathBlocked):
                    transaction.part(prefix)


def test_a_part_that_another_step_replaced_is_not_entered(whoever: Whoever) -> None:
    """A step of the whole project comes between: what it left in the part's place leads anywhere."""

    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT)
        for deed in (("symlink", "web", "services"), ("write", "web", b"")):
            with opened(project) as workspace:
                transaction = workspace.begin()
                web = transaction.part("web")
                build(transaction, ("remove", "web"), deed)
                with pytest.raises(PathBlocked):
                    _ = web.upper
                transaction.rollback()


def test_a_part_that_was_deleted_and_made_again_is_not_mixed_with_the_old_one(
    whoever: Whoever,
) -> None:
    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT)
        with opened(project) as workspace:
            transaction = workspace.begin()
            web = transaction.part("web")
            build(transaction, ("remove", "web"), ("mkdir", "web"))
            assert web.upper
            with pytest.raises(PathBlocked):
                _ = web.lowers


def test_each_part_has_scratch_builds_and_usage_of_its_own(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT)
        with opened(project) as workspace:
            transaction = workspace.begin()
            web, api = transaction.part("web"), transaction.part("services/api")
            assert web.scratch("one") != api.scratch("one")
            whole, webs, apis = (part.open_build("target-1") for part in (transaction, web, api))
            assert len({whole, webs, apis}) == 3
            web.open_build("target-2")
            assert not webs.exists()
            assert whole.exists()
            assert apis.exists()
            build(web, ("write", "large", b"x" * 100_000))
            assert web.usage()[0] >= 100_000 > api.usage()[0]


def test_builds_of_parts_that_are_gone_do_not_pile_up(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        names = [f"part{number:02}" for number in range(40)]
        for name in names:
            (project / name).mkdir()
        with opened(project) as workspace:
            transaction = workspace.begin()
            first = transaction.part(names[0])
            made = []
            for name in names[1:]:
                kept = first.open_build("rust-1")
                made.append(transaction.part(name).open_build("rust-1"))
            assert kept.exists()
            assert made[-1].exists()
            assert sum(place.exists() for place in made) == 31


def test_an_edit_of_the_users_in_one_part_refuses_all(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT)
        with opened(project) as workspace:
            transaction = workspace.begin()
            build(transaction.part("web"), ("write", "new", b"1"))
            build(transaction.part("services/api"), ("write", "old", b"built"))
            (project / "services/api/old").write_bytes(b"edited")
            with pytest.raises(EditedMeanwhile):
                transaction.commit(RULES)
            transaction.rollback()
        assert not (project / "web/new").exists()


def test_root_does_not_show_what_is_another_users(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("user-namespace: only root can give a directory to another user")
    (tmp_path / "project/web").mkdir(parents=True)
    os.chown(tmp_path / "project/web", 1234, 1234)
    with opened(tmp_path / "project") as workspace:
        transaction = workspace.begin()
        with pytest.raises(PathBlocked, match="1234"):
            transaction.part("web")


def test_a_directory_above_a_part_that_is_shut_against_changes_is_no_obstacle(
    whoever: Whoever,
) -> None:
    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT, ("chmod", "services", 0o555))
        before = (project / "services").stat()
        with opened(project) as workspace:
            transaction = workspace.begin()
            web, api = transaction.part("web"), transaction.part("services/api")
            assert set(build(api)) == {"", "old"}
            build(web, ("write", "new", b"1"))
            transaction.commit(RULES)
        after = (project / "services").stat()
        assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
        assert (project / "web/new").exists()
        (project / "services").chmod(0o755)


def test_parts_in_which_nothing_changed_are_nothing_to_hold(whoever: Whoever) -> None:
    @whoever
    def _(project: Path) -> None:
        build_natively(project, *PROJECT)
        held = []
        for deeds in ((("write", "new", b"1"),), ()):
            with opened(project) as workspace:
                transaction = workspace.begin()
                build(transaction.part("services/api"), *deeds)
                held.append(transaction.hold("build", hidden=frozenset(), when=0.0))
        assert [each is not None for each in held] == [True, False]
        with opened(project) as workspace:
            assert workspace.held() == held[0]


def test_root_does_not_show_what_became_another_users(tmp_path: Path) -> None:
    """The owner of the project may put anything of theirs in a part's place while the run lasts."""
    if os.geteuid() != 0:
        pytest.skip("user-namespace: only root can give a directory to another user")
    for name in ("web", "other"):
        (tmp_path / "project" / name).mkdir(parents=True)
    os.chown(tmp_path / "project/other", 1234, 1234)
    with opened(tmp_path / "project") as workspace:
        web = workspace.begin().part("web")
        assert web.base_identity
        (tmp_path / "project/web").rmdir()
        (tmp_path / "project/other").rename(tmp_path / "project/web")
        with pytest.raises(PathBlocked, match="1234"):
            _ = web.base_identity
