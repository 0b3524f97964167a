"""How much memory there is: the machine's, or less where a control group above us says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloche.platforms.linux.cgroup_files import remove_directory
from cloche.platforms.linux.cgroup_v1 import find_roots
from cloche.platforms.linux.memory import _limits_v1, _limits_v2, read_memory_bytes

GIB = 1 << 30


def test_a_machine_has_some_and_no_more_than_it_says() -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) << 10
    assert 0 < read_memory_bytes() <= total


def test_version_2_counts_every_limit_above(tmp_path: Path) -> None:
    for place, limit in (
        (".", "max"),
        ("a", str(3 * GIB)),
        ("a/b", "max"),
        ("a/b/c", str(5 * GIB)),
    ):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "memory.max").write_text(f"{limit}\n")
    mounts = f"cgroup2 {tmp_path} cgroup2 rw,nosuid 0 0\n"
    assert sorted(_limits_v2("0::/a/b/c\n", mounts)) == [3 * GIB, 5 * GIB]
    assert _limits_v2("0::/\n", mounts) == []


@pytest.mark.parametrize("place", ["/docker/0123", "/../outside"])
def test_a_container_finds_its_limit_though_its_place_is_named_from_outside(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "memory.max").write_text(f"{2 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"cache 1\nhierarchical_memory_limit {GIB}\n")
    assert _limits_v2(f"0::{place}\n", f"c {tmp_path} cgroup2 rw 0 0\n") == [2 * GIB]
    assert _limits_v1(f"4:memory:{place}\n", f"c {tmp_path} cgroup rw,memory 0 0\n") == [GIB]


def test_no_group_is_no_limit() -> None:
    assert _limits_v1("0::/\n", "") == _limits_v2("4:memory:/\n", "proc /proc proc rw 0 0\n") == []


def test_the_limit_of_a_real_group_holds() -> None:
    roots = find_roots()
    if not roots:
        pytest.skip("memory-limit: this user can make no control group of version 1 here")
    group = roots["memory"] / f"cloche-test-memory-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(GIB))
        program = (
            "import os, sys\n"
            f"open('{group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
            "from cloche.platforms.linux.memory import read_memory_bytes\n"
            "print(read_memory_bytes())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert int(done.stdout) == GIB
    finally:
        remove_directory(group)
