"""Files, processes, devices and names of the host are not there. Barriers (2), (3), (5), (6), (11), (15), (16)."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Run = Callable[..., SimpleNamespace]


def test_what_a_sandbox_may_do_works(shell: Run) -> None:
    """The control: without it a sandbox that runs nothing would pass every test below."""
    done = shell(
        "cat seed && echo made > new && echo tmp > /tmp/x && echo home > ~/y", files={"seed": "s\n"}
    )
    assert done.status == 0, done.stderr
    assert done.stdout == "s\n"
    assert done.left == ["new"]


def test_cannot_read_a_file_outside(shell: Run, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret")
    tmp_path.chmod(0o755)
    done = shell(f"cat {canary}; cat /project/../..{canary}; cat /proc/1/root{canary}")
    assert "secret" not in done.stdout
    assert done.status != 0


@pytest.mark.parametrize(
    "path", ["/root", "/home", "/etc/shadow", "/etc/ssh", "/run", "/var", "/boot", "/sys", "/opt"]
)
def test_cannot_see_a_place_of_the_host(shell: Run, path: str) -> None:
    done = shell(f"ls -A {path}")
    assert done.stdout.strip() in ("", "user")  # /home holds only the sandbox's own


@pytest.mark.parametrize(
    "path", ["/x", "/usr/x", "/usr/bin/x", "/etc/x", "/dev/x", "/proc/sys/kernel/core_pattern"]
)
def test_cannot_write_outside_its_own_places(shell: Run, path: str) -> None:
    done = shell(f"echo x > {path}")
    assert done.status != 0


def test_cannot_change_a_system_file_through_a_link(shell: Run) -> None:
    done = shell("ln -s /etc/passwd p && echo evil >> p")
    assert done.status != 0


def test_cannot_see_a_process_of_the_host(shell: Run) -> None:
    done = shell("ls /proc | grep -c '^[0-9]'; kill -0 -1; for p in /proc/[0-9]*; do echo $p; done")
    pids = [
        int(line.rpartition("/")[2]) for line in done.stdout.split() if line.startswith("/proc/")
    ]
    assert os.getpid() not in pids
    assert len(pids) <= 6


def test_cannot_read_the_environment_of_its_init(shell: Run) -> None:
    done = shell("cat /proc/1/environ /proc/1/maps; env")
    assert "CANARY" not in done.stdout
    assert "from-outside" not in done.stdout


def test_cannot_read_where_its_init_lies_on_the_host(shell: Run) -> None:
    done = shell("tr '\\0' ' ' < /proc/1/cmdline")
    assert done.stdout.strip() == "cloche_launch"


def test_has_only_the_plans_environment(shell: Run) -> None:
    done = shell("env | cut -d= -f1 | sort")
    assert set(done.stdout.split()) <= {"HOME", "LANG", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_has_no_descriptor_but_its_three_streams(python: Run) -> None:
    done = python("import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])")
    assert done.stdout == "[0, 1, 2]\n"


def test_has_no_capability_and_cannot_gain_one(shell: Run) -> None:
    done = shell("grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status")
    lines = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert {lines[k] for k in lines if k.startswith("Cap")} == {"0" * 16}
    assert lines["NoNewPrivs"] == "1"
    assert lines["Seccomp"] == "2"


def test_is_never_the_hosts_root(shell: Run) -> None:
    done = shell("cat /proc/self/uid_map; id -u")
    inside, outside, count = done.stdout.splitlines()[0].split()
    assert (inside, count) == ("1000", "1")
    assert outside != "0"


def test_a_setuid_file_gives_nothing(shell: Run) -> None:
    done = shell("cp /usr/bin/id . && chmod 6755 id && ./id -u && (su -c id || true)")
    assert done.stdout.split()[0] == "1000"
    assert "uid=0" not in done.stdout


def test_has_its_own_name_and_no_terminal(shell: Run) -> None:
    done = shell("uname -n; ps -o tty= -p $$ 2>/dev/null; (exec < /dev/tty) 2>&1")
    assert done.stdout.split()[0] == "cloche"
    assert done.status != 0


@pytest.mark.parametrize("name", ["full", "null", "zero", "urandom", "fd/0"])
def test_cannot_set_the_times_of_a_device_of_the_host(shell: Run, name: str) -> None:
    """Anybody may who may write to it: found by random calls, which set those of /dev/null."""
    device = "null" if name == "fd/0" else name
    before = os.stat(f"/dev/{device}").st_mtime_ns
    done = shell(f"touch -c /dev/{name}; : > /dev/{device}", stdin=None)
    assert "Read-only file system" in done.stderr
    assert os.stat(f"/dev/{device}").st_mtime_ns == before


def test_cannot_reach_host_ipc(python: Run) -> None:
    done = python("print(open('/proc/sysvipc/shm').read().count(chr(10)))")
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    "name", ["kcore", "kmsg", "keys", "sysrq-trigger", "kallsyms", "timer_list"]
)
def test_cannot_use_a_machine_wide_file_of_proc(shell: Run, name: str) -> None:
    done = shell(
        f"test -e /proc/{name} || exit 9; head -c 20 /proc/{name} | tr -d '\\0'; chmod 644 /proc/{name}; echo h > /proc/{name}"
    )
    if done.status == 9:
        pytest.skip(f"this kernel has no /proc/{name}")
    assert done.stdout == ""
    assert done.status != 0
