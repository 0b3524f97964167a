"""Where no overlay can be mounted a copy stands for it, is said to, and comes to the same."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

Seen = dict[str, tuple[int, str]]
PRETENDED = {"CLOCHE_TEST_FEATURES": "transaction-overlay=none"}
DEEDS = """set -e
echo new > added; echo other > replaced; rm deleted; rm -r tree; mkdir tree; echo in > tree/new
ln replaced linked; chmod 700 moded; ln -s added symbolic; truncate -s 1M sparse
rm turned; mkdir turned; echo x > turned/x; mkdir -p deep/er; rm -r gone
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cloche-ground-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _fill(project: Path) -> None:
    for name in ("replaced", "deleted", "moded", "turned", "tree/old", "gone/a/b", "kept/k"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(f"{name} as it was\n")


def _seen(project: Path) -> Seen:
    found = {}
    for each in sorted(project.rglob("*")):
        text = (
            os.readlink(each) if each.is_symlink() else each.read_text() if each.is_file() else ""
        )
        found[str(each.relative_to(project))] = (stat.S_IFMT(each.lstat().st_mode), text)
    found["links"] = ((project / "replaced").stat().st_nlink, "")
    return found


def _cloche(
    place: Path, prefix: tuple[str, ...], *words: str, **more: str
) -> list[dict[str, object]]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(place / "home"), "TMPDIR": "/var/tmp"}
    done = subprocess.run(
        [*prefix, sys.executable, "-P", "-m", "cloche", words[0], "--json", *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd="/",
        stdin=subprocess.DEVNULL,
        env=environment | more,
    )
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _run(place: Path, prefix: tuple[str, ...], **more: str) -> list[dict[str, object]]:
    words = ("--project", str(place / "project"), "--", "sh", "-c", DEEDS)
    return _cloche(place, prefix, "run", *words, **more)


def _tell(told: list[dict[str, object]]) -> tuple[str, str]:
    """Give the notes and the row of the overlay."""
    notes = " ".join(str(each["text"]) for each in told if each["type"] == "note")
    barriers = next(each for each in told if each["type"] == "confined")["barriers"]
    assert isinstance(barriers, list)
    return notes, next(row[2] for row in barriers if row[0] == "transaction-overlay")


def _make(place: Path, prefix: tuple[str, ...]) -> Path:
    project = place / "project"
    for each in (project, place / "home"):
        each.mkdir()
    _fill(project)
    if prefix:
        for each in (place, *place.rglob("*")):
            os.lchown(each, 65534, 65534)
    return project


def test_a_copy_comes_to_the_same_as_an_overlay(
    tmp_path: Path, place: Path, prefix: tuple[str, ...]
) -> None:
    del tmp_path
    results = []
    for more in ({}, PRETENDED):
        home = place / ("copy" if more else "overlay")
        home.mkdir()
        project = _make(home, prefix)
        if prefix:
            os.chown(place, 65534, 65534)
        before = _seen(project)
        told = _run(home, prefix, **more)
        assert told[-1]["outcome"] == "ok", told[-1]
        notes, row = _tell(told)
        assert ("overlays are refused" in notes) is bool(more)
        assert row.startswith("a copy") is bool(more)
        results.append(_seen(project))
        assert {each.lstat().st_uid for each in project.rglob("*")} == {project.stat().st_uid}
        _cloche(home, prefix, "undo", str(project), **more)
        assert _seen(project) == before
    assert results[0] == results[1]
    assert results[0]["links"] == (2, "")


def _refuses_to_move_what_lies_in_an_image(where: Path, ordinary: tuple[str, ...]) -> None:
    """A directory of a lower layer cannot be moved: that is said before anything is marked."""
    home = where / "m/image"
    (where / "l/image/project/lower").mkdir(parents=True)
    (where / "l/image/project/lower/file").write_text("old")
    (where / "l/image/home").mkdir()
    for each in ((where / "l/image"), *(where / "l/image").rglob("*")):
        os.chown(each, 65534, 65534)
    subprocess.run(["mount", "-o", "remount", where / "m"], check=True)
    words = ("--project", str(home / "project"), "--", "sh", "-c", "rm -r lower; echo new > new")
    told = _cloche(home, ordinary, "run", *words)
    assert told[-1]["code"] == "path-blocked", told[-1]
    assert [each.name for each in (home / "project").iterdir()] == ["lower"]
    words = ("--project", str(home / "project"), "--", "sh", "-c", "echo new > lower/file")
    assert _cloche(home, ordinary, "run", *words)[-1]["outcome"] == "ok"
    assert (home / "project/lower/file").read_text() == "new\n"


def test_a_project_on_an_overlay_of_a_container(place: Path, ordinary: tuple[str, ...]) -> None:
    """An overlayfs cannot be the upper of another, nor hold the sign of a deletion."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount an overlay as a container has it")
    project = _make(place, ordinary)
    (place / "ground").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place / "ground"], check=True)
    try:
        for name in ("l", "u", "w", "m"):
            (place / "ground" / name).mkdir()
        where = place / "ground"
        data = f"lowerdir={where}/l,upperdir={where}/u,workdir={where}/w"
        subprocess.run(["mount", "-t", "overlay", "none", "-o", data, where / "m"], check=True)
        os.chown(where / "m", 65534, 65534)
        inside = where / "m"
        _ = _make(inside, ordinary)
        told = _run(inside, ordinary)
        assert told[-1]["outcome"] == "ok", told[-1]
        assert "overlays are refused" in _tell(told)[0]
        assert not (inside / "project/deleted").exists()
        assert (inside / "project/replaced").read_text() == "other\n"
        assert [each.name for each in (inside / "project/tree").iterdir()] == ["new"]
        _refuses_to_move_what_lies_in_an_image(where, ordinary)
        _cloche(inside, ordinary, "undo", str(inside / "project"))
        assert _seen(inside / "project") == _seen(project)
    finally:
        subprocess.run(["umount", "-l", place / "ground/m"], check=False)
        subprocess.run(["umount", "-l", place / "ground"], check=False)
