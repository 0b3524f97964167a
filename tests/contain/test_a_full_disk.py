"""A disk, or its inodes, that run out during a run: a typed error, the project whole, the next run works."""

import json
import os
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
