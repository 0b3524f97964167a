"""Each barrier seen by itself, with nothing else that could hold in its place."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

Run = Callable[..., SimpleNamespace]


@pytest.mark.parametrize("kind", ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"])
def test_is_in_no_namespace_of_the_host(shell: Run, kind: str) -> None:
    done = shell(f"readlink /proc/self/ns/{kind}")
    assert done.stdout.startswith(f"{kind}:[")
    assert done.stdout.strip() != os.readlink(f"/proc/self/ns/{kind}")


def test_landlock_alone_refuses_a_write_where_the_mount_is_writable(shell: Run) -> None:
    allowed = shell("echo x > /tmp/x")
    assert allowed.status == 0
    if allowed.report["landlock"] == "none":
        pytest.skip("this kernel has no Landlock")
    assert shell("echo x > /tmp/x", writable=["/project"]).status != 0


def test_a_file_of_the_system_is_an_inode_of_its_own(python: Run) -> None:
    """Or who locks one would hold up the host, and who watches one would see its users."""
    with open("/usr/bin/env", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = python(
            "import fcntl; f = open('/usr/bin/env'); fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
        )
    assert (done.status, done.report["mount-namespace"]) == (0, "full"), done.stderr


def test_resource_limits_are_those_of_the_plan(shell: Run) -> None:
    done = shell("ulimit -Hn; ulimit -Hc", limits={"open_files": 321})
    assert done.stdout.split() == ["321", "0"]  # a core's limit of one byte, in blocks


def test_no_core_reaches_the_hosts_handler(python: Run) -> None:
    """A limit of 0 does not keep a core from a program that core_pattern names; 1 does, core(5)."""
    done = python(
        "import ctypes, resource\n"
        "libc = ctypes.CDLL(None)\n"
        "core = resource.RLIMIT_CORE\n"
        "zero = (ctypes.c_ulong * 2)(0, 0)\n"
        "resource.setrlimit(core, (0, 0))\n"
        "resource.prlimit(0, core, (0, 0))\n"
        "libc.syscall(160, core, zero)\n"
        "print(resource.getrlimit(core), resource.prlimit(0, core))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert done.stdout == "(1, 1) (1, 1)\n(64, 64)\n", done.stderr


def test_leaves_the_users_other_programs_their_inotify(python: Run) -> None:
    with open("/proc/sys/fs/inotify/max_user_instances", encoding="ascii") as file:
        most = int(file.read())
    done = python(
        "import ctypes\n"
        "make = ctypes.CDLL(None).inotify_init1\n"
        "made = 0\n"
        "while made < 4000 and make(0) >= 0: made += 1\n"
        "print(made)"
    )
    assert 8 <= int(done.stdout) <= max(8, most // 4)


def test_its_streams_can_be_opened_by_name_and_are_pipes_of_its_own(shell: Run) -> None:
    done = shell("echo out > /dev/stdout; echo err > /dev/stderr; stat -Lc %F /dev/stdin")
    assert (done.stdout, done.stderr) == ("out\nfifo\n", "err\n")


def test_leads_its_own_session(python: Run) -> None:
    assert python("import os; print(os.getsid(0) == os.getpid())").stdout == "True\n"


def test_signals_are_as_a_program_expects_them(sandbox: Run) -> None:
    """Python ignores some, and an exec would keep it: `yes | head` then ends with an error."""
    for processes in (64, 2):
        done = sandbox("/bin/cat", "/proc/self/status", limits={"processes": processes})
        assert done.status == 0, done.stderr
        lines = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
        ignored = int(lines["SigIgn"], 16) & 0x7FFF_FFFF  # 32 and 33 are the C library's own
        assert (ignored, int(lines["SigBlk"], 16)) == (0, 0)


def test_a_descriptor_left_inheritable_is_closed() -> None:
    """Close-on-exec holds too; this is the second lock on that door."""
    program = (
        "import os; from cloche_launch import payload; r, w = os.pipe(); x = os.dup(0);"
        "os.set_inheritable(x, True); payload.close_all_but_streams_and(w);"
        "held = [n for n in range(64) if os.path.exists(f'/proc/self/fd/{n}')];"
        "print(held == [0, 1, 2, w])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.environ.get("CLOCHE_TEST_SOURCE", "")},
    )
    assert done.stdout == "True\n"


def test_changes_go_to_the_upper_layer_only(shell: Run) -> None:
    done = shell("echo evil >> seed; rm -f gone", files={"seed": "s\n", "gone": "g\n"})
    assert done.left == ["gone", "seed"]
