"""Memory, processes, time, output and file size end where the plan says. Barriers (10), (17)-(23)."""

import contextlib
import os
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from cloche.platforms.linux.cgroup import open_cgroups

Run = Callable[..., SimpleNamespace]
MIB = 1 << 20


def running(mark: str) -> list[str]:
    """Give the processes of the host whose arguments name `mark`."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            if mark.encode() in file.read():
                found.append(name)
    return found


@pytest.mark.parametrize(
    "way",
    [
        "x = bytearray(400 << 20)",
        "open('/tmp/big', 'wb').write(bytes(400 << 20))",
        "import os, mmap; f = os.memfd_create('m'); os.ftruncate(f, 400 << 20); mmap.mmap(f, 400 << 20).write(bytes(400 << 20))",
    ],
)
def test_cannot_take_more_memory(python: Run, way: str) -> None:
    done = python(
        # A watcher, unlike a control group, needs the moment between two looks to see it.
        f"{way}\nimport time; time.sleep(1)\nprint('had it')",
        limits={"memory_bytes": 128 * MIB, "file_bytes": 1 << 30},
    )
    assert "had it" not in done.stdout
    if done.report["memory-limit"] == "full":
        assert done.limit == "memory_bytes" or done.status != 0


def test_connections_to_oneself_cannot_hold_more_memory(python: Run) -> None:
    done = python(
        "import socket\n"
        "listener = socket.create_server(('127.0.0.1', 0), backlog=200)\n"
        "held, ends = 0, []\n"
        "for _ in range(300):\n"
        "    ends.append(socket.create_connection(listener.getsockname()))\n"
        "    ends.append(listener.accept()[0])\n"
        "    ends[-2].setblocking(False)\n"
        "    try:\n"
        "        while True: held += ends[-2].send(bytes(65536))\n"
        "    except BlockingIOError: pass\n"
        "print(held >> 20)",
        limits={"memory_bytes": 128 * MIB},
    )
    if done.report["memory-limit"] != "full":
        pytest.skip("needs a control group for memory: a watcher does not see what sockets hold")
    assert done.limit == "memory_bytes" or int(done.stdout) < 128


def test_a_fork_bomb_stays_small(python: Run) -> None:
    done = python(
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "    for _ in range(500):\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(30)\n"
        "            os._exit(0)\n"
        "        made += 1\n"
        "except OSError:\n"
        "    pass\n"
        "print(made, flush=True)\n"
        "time.sleep(1)",
        limits={"processes": 20},
    )
    assert done.limit == "processes"
    assert int(done.stdout or 0) < 21


def test_time_runs_out_for_the_grandchildren_too(shell: Run) -> None:
    mark = f"{os.getpid()}.{time.monotonic_ns()}"
    began = time.monotonic()
    done = shell(f"(setsid sh -c 'sleep 300; : {mark}' &) ; sleep 300", limits={"wall_seconds": 1})
    assert done.limit == "wall_seconds"
    assert time.monotonic() - began < 20
    assert not running(mark)


def test_silence_without_work_is_ended(shell: Run) -> None:
    done = shell("sleep 60", limits={"idle_seconds": 1, "wall_seconds": 20})
    assert done.limit == "idle_seconds"


def test_a_daemon_does_not_outlive_the_step(shell: Run) -> None:
    mark = f"daemon-{os.getpid()}-{time.monotonic_ns()}"
    done = shell(f"setsid nohup sh -c 'sleep 300; : {mark}' >/dev/null 2>&1 & exit 0")
    assert done.status == 0
    assert not running(mark)


def test_output_is_kept_to_its_limit_and_the_rest_drained(shell: Run) -> None:
    done = shell("head -c 3000000 /dev/zero; echo end >&2", limits={"output_bytes": 100_000})
    assert done.status == 0
    assert done.bytes < 101_000


def test_a_file_cannot_be_longer_than_its_limit(shell: Run) -> None:
    done = shell("head -c 3000000 /dev/zero > big; ls -l big", limits={"file_bytes": MIB})
    assert str(MIB) in done.stdout


def test_the_exit_status_is_the_programs_own(shell: Run) -> None:
    assert shell("exit 42").status == 42
    assert shell("kill -TERM $$").status == 128 + 15


def test_standard_input_reaches_the_program(shell: Run) -> None:
    assert shell("cat", stdin="hello").stdout == "hello"


def test_cannot_take_more_of_the_processor(python: Run, identity: str) -> None:
    done = python(
        "import time\nend, began = time.monotonic() + 3, time.process_time()\n"
        "while time.monotonic() < end: pass\nprint(time.process_time() - began)",
        limits={"cpu_percent": 20},
    )
    is_told_by_us = identity == "root" or os.geteuid() != 0
    if done.report["cpu-limit"] != "full" and not (is_told_by_us and open_cgroups().kind != "none"):
        pytest.skip(
            "cpu-limit: this user can make no control group for the processor on this machine"
        )
    # A fifth of three seconds is 0.6; without the limit even a machine with four busy neighbours gives more.
    assert float(done.stdout) < 0.9
