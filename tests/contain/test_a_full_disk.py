"""A disk, or its inodes, that run out during a run: a typed error, the project whole, the next run works."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-P", "-m", "cloche", "run", "--json")
FULL = "echo new > kept; i=0; while echo x > f$i; do i=$((i + 1)); done 2> /dev/null; exit 0"
SOME = "mkdir -p many; i=0; while [ $i -lt {} ]; do echo x > many/$i; i=$((i + 1)); done"


@pytest.fixture(params=["size=8m,nr_inodes=300", "size=1536k,nr_inodes=100k"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    place = tmp_path / "ground"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "none", place], check=True)
    try:
        (place / "home").mkdir()
        (place / "project").mkdir()
        (place / "project/kept").write_text("old\n")
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


@pytest.fixture
def failed_once(tmp_path: Path) -> Iterator[Path]:
    """A file system on which a write was lost, and nobody was told."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system that loses a write")
    if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("needs mkfs.ext4, for a file system that loses a write")
    disk, place = tmp_path / "disk", tmp_path / "ground"
    for each in (disk, place):
        each.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], check=True)
    try:
        with (disk / "image").open("wb") as image:
            image.truncate(200 << 20)
        make = ("/sbin/mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard")
        subprocess.run([*make, disk / "image"], check=True)
        mounted = subprocess.run(
            ["mount", "-o", "loop,errors=continue", disk / "image", place], check=False
        )
        if mounted.returncode != 0:
            pytest.skip("needs a loop device")
        try:
            (place / "lost").write_bytes(os.urandom(30 << 20))
            os.sync()  # which tells nobody of errors: sync(2)
            subprocess.run(["mount", "-o", "remount,size=300m", disk], check=True)
            (place / "home").mkdir()
            (place / "project").mkdir()
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=False)
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_an_overlay_is_mounted_where_a_write_of_somebody_failed(failed_once: Path) -> None:
    script = "grep -q ' /project .* - overlay ' /proc/self/mountinfo"
    assert _run(failed_once, script)[0] == 0
    assert _run(failed_once, "echo new > new")[0] in (0, 68)  # told here, at the latest
    status, told = _run(failed_once, f"{script} && echo after > after")
    assert status == 0, told
    assert "after" in _names(failed_once)


def _run(ground: Path, script: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [*COMMAND, "--project", str(ground / "project"), "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(ground / "home")},
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def _names(ground: Path) -> set[str]:
    return {each.name for each in (ground / "project").iterdir()}


def test_the_project_is_whole_and_the_next_run_works(ground: Path) -> None:
    status, told = _run(ground, FULL)
    assert status != 0, told
    assert status in (68, 93, 114), told
    if status == 93:
        assert (ground / "project/kept").read_text() in ("old\n", "new\n")
    else:
        assert _names(ground) == {"kept"}
        assert (ground / "project/kept").read_text() == "old\n"
    status, told = _run(ground, "echo after > after")
    assert status == 0, told
    assert "after" in _names(ground)


@pytest.mark.parametrize("count", range(250, 272, 2))
def test_whole_or_not_at_all_at_every_margin(ground: Path, count: int) -> None:
    status, told = _run(ground, SOME.format(count))
    assert status == 0 or told["code"], told
    present = (ground / "project/many").exists()
    assert present is (status == 0), (status, told)
    if present:
        assert len(list((ground / "project/many").iterdir())) == count
    else:
        status, told = _run(ground, "echo after > after")
        assert status == 0, told
