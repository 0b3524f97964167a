"""The landlock tier's processes and files end with the step, whoever is killed, without a pid namespace."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contain.tier import Cloche, events, needs_landlock, popen, run_in, uid

pytestmark = needs_landlock

# Sixteen, of which each forks and whose parent ends at once: whoever kills is a number behind. Fifteen
# seconds long, should nobody manage.
HOPPING = """
#include <unistd.h>
#include <time.h>
int main(void) {
    time_t until = time(0) + 15;
    for (int n = 0; n < 16; n++) {
        if (fork()) continue;
        setsid(), close(0), close(1), close(2);
        while (time(0) < until) {
            pid_t child = fork();
            if (child > 0) _exit(0);
            if (child < 0) usleep(100);
        }
        _exit(0);
    }
    pause();
}
"""


def test_nothing_outlives_the_step(place: Path, cloche: Cloche) -> None:
    mark = f"86{os.getpid()}"
    daemon = f"setsid sleep {mark} >/dev/null 2>&1"
    script = (
        f"for n in 1 2 3; do setsid sh -c '{daemon} & {daemon}' >/dev/null 2>&1 & done; sleep 0.3"
    )
    done = run_in(place, cloche, "sh", "-c", script)
    left = _sleeping(mark)
    for (
        pid
    ) in left:  # where the barrier is gone, as a test has it, nothing must stay on the machine
        os.kill(int(pid), signal.SIGKILL)
    assert done.returncode == 0, done.stdout
    assert not left


def test_nothing_outlives_the_kernel(place: Path, ordinary: tuple[str, ...]) -> None:
    mark = f"87{os.getpid()}"
    script = f"(setsid sleep {mark} &) ; sleep {mark}"
    kernel = popen(place, ordinary, script)
    try:
        _wait_for(lambda: len(_sleeping(mark)) == 2)
    finally:
        kernel.kill()
        kernel.wait()
    _wait_for(lambda: not _sleeping(mark))


def test_who_hops_from_process_to_process_does_not_outlive_a_limit(
    place: Path, cloche: Cloche
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler: what is written in an interpreter hops too slowly")
    mark = f"88{os.getpid()}"
    made = ["cc", "-O2", "-static", "-x", "c", "-", "-o", str(place / "project/hop")]
    subprocess.run(made, input=HOPPING, text=True, check=True, timeout=60)
    words = ("--project", str(place / "project"), "--timeout", "2")
    done = cloche("run", *words, "--", "./hop", mark)
    assert done.returncode == 114, done.stdout
    assert "wall_seconds" in events(done)[-1]["message"]
    assert not _having(mark)


def test_nothing_outlives_a_keeper_that_is_killed(place: Path, ordinary: tuple[str, ...]) -> None:
    mark = f"89{os.getpid()}"
    script = f"(setsid sleep {mark} &) ; exec sleep {mark}"
    kernel = popen(place, ordinary, script)
    _wait_for(lambda: len(_sleeping(mark)) == 2)
    keepers = {Path(f"/proc/{pid}/stat").read_text().split()[3] for pid in _sleeping(mark)}
    assert len(keepers) == 1
    os.kill(int(keepers.pop()), signal.SIGKILL)
    assert kernel.wait() == 137
    _wait_for(lambda: not _sleeping(mark))


def test_nothing_is_left_of_a_run_and_of_one_that_was_killed(
    place: Path, cloche: Cloche, ordinary: tuple[str, ...]
) -> None:
    deep = "cd $TMPDIR; for n in $(seq 1200); do mkdir d && cd d; done; chmod 0 $HOME"
    kernel = popen(place, ordinary, f"{deep}; echo made; sleep 60", stdout=subprocess.PIPE)
    assert kernel.stdout is not None
    with kernel.stdout as said:
        assert any('"made' in line for line in said)
        kernel.kill()
        kernel.wait()
    mine = f"-{kernel.pid}-"
    assert [each for each in _temporary() if mine in each]
    done = run_in(place, cloche, "sh", "-c", deep)
    assert done.returncode == 0, done.stdout
    _wait_for(lambda: not [each for each in _temporary() if mine in each])
    owned = {each for each in _temporary() if Path("/var/tmp", each).stat().st_uid == uid()}
    assert not owned


def _temporary() -> list[str]:
    return [each for each in os.listdir("/var/tmp") if each.startswith("cloche.")]


def _sleeping(mark: str) -> list[str]:
    found = []
    for each in filter(str.isdecimal, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{each}/cmdline").read_bytes()
        except OSError:
            continue
        if command == b"sleep\0" + mark.encode() + b"\0":
            found.append(each)
    return found


def _having(mark: str) -> list[str]:
    found = []
    for each in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{each}/cmdline").read_bytes()
            found += [each] if mark.encode() in command and b"cloche" not in command else []
    return found


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)
