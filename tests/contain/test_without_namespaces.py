"""The landlock tier: what it holds, that what it does not hold is said, and that nobody gets it unasked."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "src/cloche/policy/default.yaml"
STATED = {  # docs/tiers.md, "What it does not hold"
    "ask-the-size-of-a-secret",
    "change-the-rights-of-the-users-files",
    "hold-up-who-locks-a-file-of-the-system",
    "learn-the-hosts-name",
    "leave-an-orphan-behind",
}
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
Cloche = Callable[..., subprocess.CompletedProcess[str]]


def has_landlock() -> bool:
    from cloche_launch.landlock import abi  # noqa: PLC0415 - of this check alone

    return abi() >= 4


pytestmark = pytest.mark.skipif(
    not has_landlock(), reason="needs Landlock of ABI 4 (Linux 6.7) or newer, switched on"
)


@pytest.fixture
def ordinary() -> tuple[str, ...]:
    """What goes before a command so that an ordinary user runs it."""
    if os.geteuid() != 0:
        return ()
    for place in (Path(sys.executable), Path(os.path.realpath(sys.executable)), ROOT):
        if any(not parent.stat().st_mode & 0o001 for parent in place.parents):
            pytest.skip(
                "the landlock tier of an ordinary user: none may enter where this clone lies"
            )
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def place(ordinary: tuple[str, ...]) -> Iterator[Path]:
    """A directory of that user's own with a home, a project, and a policy that accepts the tier."""
    with tempfile.TemporaryDirectory(prefix="cloche-tier-", ignore_cleanup_errors=True) as name:
        top = Path(name)
        (top / "home").mkdir()
        (top / "project").mkdir()
        text = DEFAULT.read_text()
        assert "tier: namespaces" in text
        (top / "policy.yaml").write_text(text.replace("tier: namespaces", "tier: landlock"))
        if ordinary:
            for each in (top, *top.iterdir()):
                os.chown(each, 65534, 65534)
        yield top


@pytest.fixture
def cloche(place: Path, ordinary: tuple[str, ...]) -> Cloche:
    """Run a command of Cloche where user namespaces are refused."""

    def run(*words: str, accepts: bool = True, of: tuple[str, ...] | None = None) -> Any:
        policy = ("--policy", str(place / "policy.yaml")) if accepts else ()
        return subprocess.run(
            [*(ordinary if of is None else of), *_command(words[0]), *policy, *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            cwd="/",
            env=_environment(place),
        )

    return run


def _command(verb: str) -> list[str]:
    return [sys.executable, "-P", "-m", "cloche", verb, "--json"]


def _environment(place: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place / "home"),
        "PYTHONPATH": os.environ.get("CLOCHE_TEST_SOURCE", ""),
        "CLOCHE_TEST_FEATURES": "user-namespace=none",
        # The bait's place must not be one that a plan's words are rewritten to: /tmp means its own.
        "TMPDIR": "/var/tmp",
    }


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def printed(done: subprocess.CompletedProcess[str]) -> str:
    return "".join(e["data"] for e in events(done) if e["type"] == "output")


def run_in(place: Path, cloche: Cloche, *argv: str, **options: Any) -> Any:
    return cloche("run", "--project", str(place / "project"), "--", *argv, **options)


def test_nobody_gets_it_unasked(place: Path, cloche: Cloche) -> None:
    refused = run_in(place, cloche, "true", accepts=False)
    assert refused.returncode == 80
    assert "user-namespace is required" in events(refused)[-1]["message"]
    doctor = cloche("doctor", accepts=False)
    assert doctor.returncode == 80
    assert {row[0]: row[1] for row in events(doctor)[0]["landlock_tier"]}["landlock"] == "full"
    assert cloche("doctor").returncode == 0


def test_root_is_refused(place: Path, cloche: Cloche) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be refused")
    refused = run_in(place, cloche, "true", of=())
    assert refused.returncode == 80
    assert "start Cloche as an ordinary user" in events(refused)[-1]["message"]


def test_each_barrier_that_does_not_stand_is_reported(place: Path, cloche: Cloche) -> None:
    done = run_in(place, cloche, "true")
    confined = next(e for e in events(done) if e["type"] == "confined")
    support = {row[0]: row[1] for row in confined["barriers"]}
    for name in ("user", "mount", "pid", "network", "ipc", "uts", "cgroup"):
        assert support[f"{name}-namespace"] == "none"
    assert support["landlock"] in ("full", "partial")
    assert (support["seccomp"], support["transaction-overlay"]) == ("full", "full")
    assert (support["tree-kill"], support["egress-filter"]) == ("partial", "partial")


@pytest.mark.slow
def test_only_what_is_stated_gets_out(cloche: Cloche) -> None:
    found = [line for line in events(cloche("redteam")) if line["type"] == "verdict"]
    assert len(found) > 300
    assert {each["attack"] for each in found if each["verdict"] == "escaped"} == STATED
    stated = (ROOT / "docs/tiers.md").read_text()
    assert all(f"`{name}`" in stated for name in STATED)


def test_effects_are_one_change(place: Path, cloche: Cloche) -> None:
    project = place / "project"
    (project / "old").write_text("old\n")
    (project / "tree").mkdir()
    (project / "tree/kept").write_text("kept\n")
    for each in (project / "old", project / "tree", project / "tree/kept"):
        os.chown(each, *((65534, 65534) if os.geteuid() == 0 else (-1, -1)))
    failed = run_in(place, cloche, "sh", "-c", "rm old; echo new > new; exit 3")
    assert failed.returncode == 3
    assert sorted(p.name for p in project.iterdir()) == ["old", "tree"]
    done = run_in(place, cloche, "sh", "-c", "rm old; echo new > new; mv tree moved; pwd >&2")
    assert done.returncode == 0, done.stdout
    assert sorted(str(p.relative_to(project)) for p in project.rglob("*")) == [
        "moved",
        "moved/kept",
        "new",
    ]


def test_directories_that_are_shut_to_their_owner_are_taken_too(
    place: Path, cloche: Cloche
) -> None:
    project = place / "project"
    (project / "shut").mkdir()
    (project / "shut/old").write_text("old\n")
    for each in (project / "shut/old", project / "shut"):
        os.chown(each, _uid(), _uid() if os.geteuid() == 0 else -1)
    (project / "shut").chmod(0o555)
    script = (
        "mkdir -p read/only closed/up; echo 1 > read/only/file; echo 2 > closed/up/file;"
        "chmod 555 read/only read; chmod 0 closed; echo new > shut/old"
    )
    done = run_in(place, cloche, "sh", "-c", script)
    assert done.returncode == 0, done.stdout
    modes = {name: stat.S_IMODE((project / name).stat().st_mode) for name in os.listdir(project)}
    assert modes == {"read": 0o555, "closed": 0, "shut": 0o555}
    (project / "closed").chmod(0o700)
    texts = [(project / each).read_text() for each in ("read/only/file", "closed/up/file")]
    assert texts == ["1\n", "2\n"]
    assert (project / "shut/old").read_text() == "new\n"


def test_what_the_policy_hides_is_not_there(place: Path, cloche: Cloche) -> None:
    (place / "project/.env").write_text("TOKEN=canary\n")
    (place / "project/.env").chmod(0o644)
    done = run_in(place, cloche, "sh", "-c", f"cat .env; cat {place}/project/.env; echo end")
    assert printed(done).count("canary") == 0
    assert printed(done).endswith("end\n")
    assert (place / "project/.env").read_text() == "TOKEN=canary\n"


@pytest.mark.parametrize(
    "script",
    [
        "rm -rf config",
        "mv config old; mkdir config; rm -rf old; echo new > config/new",
        "rm -rf config; echo new > config",
    ],
)
def test_what_the_policy_hides_is_not_deleted_with_its_directory(
    place: Path, cloche: Cloche, script: str
) -> None:
    config = place / "project/config"
    config.mkdir()
    (config / ".env").write_text("TOKEN=canary\n")
    (config / "kept").write_text("kept\n")
    for each in (config, *config.iterdir()):
        os.chown(each, _uid(), _uid() if os.geteuid() == 0 else -1)
    done = run_in(place, cloche, "sh", "-c", script)
    assert done.returncode == 96, done.stdout
    assert "config/.env: the policy hides it" in str(events(done)[-1]["reasons"])
    assert (config / ".env").read_text() == "TOKEN=canary\n"


def test_a_hidden_directory_is_shown_shut_and_empty(place: Path, cloche: Cloche) -> None:
    project = place / "project"
    (project / "keys").mkdir()
    (project / "keys/one").write_text("canary\n")
    (project / ".env").symlink_to("keys")
    for each in (project / "keys", project / "keys/one"):
        os.chown(each, _uid(), _uid() if os.geteuid() == 0 else -1)
    done = run_in(place, cloche, "sh", "-c", "cat keys/one .env/one; chmod 700 keys; cat keys/one")
    assert "canary" not in printed(done)
    assert printed(done).count("cat: ") == 3


def test_the_users_identity_is_lent_to_nobody(place: Path, cloche: Cloche) -> None:
    deeds = (
        "import os\n"
        "def is_refused(call, *words):\n"
        "    try: call(*words)\n"
        "    except PermissionError: return True\n"
        "os.close(os.open('plain', os.O_CREAT, 0o755))\n"
        "made = os.O_CREAT | os.O_WRONLY\n"
        "print(all([is_refused(os.chmod, 'plain', 0o4755), is_refused(os.chmod, 'plain', 0o2755),\n"
        "    is_refused(os.fchmod, os.open('plain', os.O_RDONLY), 0o4755),\n"
        "    is_refused(os.open, 'lent', made, 0o4755), is_refused(os.mknod, 'lent', 0o104755)]))\n"
    )
    done = run_in(place, cloche, "/usr/bin/python3", "-c", deeds)
    assert printed(done) == "True\n"


@pytest.mark.parametrize("name", ["net/tcp", "mountinfo", "cgroup", "root/etc/passwd"])
def test_the_hosts_mounts_and_connections_are_not_seen(
    place: Path, cloche: Cloche, name: str
) -> None:
    done = run_in(place, cloche, "cat", f"/proc/self/{name}")
    assert "Permission denied" in printed(done)


def test_a_state_that_the_program_shut_is_opened_again(place: Path, cloche: Cloche) -> None:
    shut = run_in(place, cloche, "sh", "-c", "chmod 0 ../../../..; chmod 0 ../../../../..")
    assert shut.returncode == 68, shut.stdout
    done = run_in(place, cloche, "sh", "-c", "echo made > made")
    assert done.returncode == 0, done.stdout
    assert not (place / ".cloche-state").exists()
    assert cloche("undo", str(place / "project")).returncode == 0


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
    ) in left:  # where the barrier is gone, which a test sees, it must not stay on the machine
        os.kill(int(pid), signal.SIGKILL)
    assert done.returncode == 0, done.stdout
    assert not left


def test_nothing_outlives_the_kernel(place: Path, ordinary: tuple[str, ...]) -> None:
    mark = f"87{os.getpid()}"
    words = ["--project", str(place / "project"), "--policy", str(place / "policy.yaml")]
    script = f"(setsid sleep {mark} &) ; sleep {mark}"
    kernel = subprocess.Popen(
        [*ordinary, *_command("run"), *words, "--", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=_environment(place),
    )
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
    words = ["--project", str(place / "project"), "--policy", str(place / "policy.yaml")]
    script = f"(setsid sleep {mark} &) ; exec sleep {mark}"
    kernel = subprocess.Popen(
        [*ordinary, *_command("run"), *words, "--", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=_environment(place),
    )
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
    words = ["--project", str(place / "project"), "--policy", str(place / "policy.yaml")]
    kernel = subprocess.Popen(
        [*ordinary, *_command("run"), *words, "--", "sh", "-c", f"{deep}; echo made; sleep 60"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(place),
    )
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
    owned = {each for each in _temporary() if Path("/var/tmp", each).stat().st_uid == _uid()}
    assert not owned


def test_memory_beyond_the_limit_ends_the_step(place: Path, cloche: Cloche) -> None:
    eat = "b = []\nwhile True: b.append(bytearray(1 << 20))"
    done = cloche(
        *("run", "--project", str(place / "project"), "--memory", "200M"),
        *("--", "/usr/bin/python3", "-c", eat),
    )
    assert done.returncode == 114, done.stdout
    assert "memory_bytes" in events(done)[-1]["message"]


@pytest.mark.parametrize(
    ("shuts", "where"),
    [
        (":", "$TMPDIR"),
        (":", "$HOME"),
        (":", "."),
        ("chmod 0 $TMPDIR/.. || exit", "."),
        ("cd $TMPDIR; chmod 0 ..", "."),
        ("chmod 0 ../../.. || exit", "."),
    ],
)
def test_the_disk_is_held_wherever_the_program_may_write(
    place: Path, cloche: Cloche, shuts: str, where: str
) -> None:
    policy = place / "policy.yaml"
    policy.write_text(policy.read_text().replace("limits: {}", "limits: {run: {disk_bytes: 32M}}"))
    fill = f"{shuts}; head -c 100000000 /dev/zero > {where}/filled; exec sleep 60"
    done = run_in(place, cloche, "sh", "-c", fill)
    assert done.returncode == 114, done.stdout
    assert "disk_bytes" in events(done)[-1]["message"]


def test_what_takes_a_network_of_its_own_is_refused(place: Path, cloche: Cloche) -> None:
    done = cloche(
        *("run", "--project", str(place / "project"), "--network", "www.example.org"),
        *("--", "true"),
    )
    assert done.returncode == 80
    assert "cannot hold project code to named hosts" in events(done)[-1]["message"]


def test_a_template_is_shipped(place: Path, cloche: Cloche) -> None:
    app = place / "app"
    if shutil.which("node") is None:
        pytest.skip("needs a Node that an ordinary user may run")
    assert cloche("scaffold", "static", str(app)).returncode == 0
    done = cloche("ship", str(app))
    assert done.returncode == 0, done.stdout[-2000:]
    assert (app / "artifacts/app-0.1.0.cloche.tar").is_file()


def _temporary() -> list[str]:
    return [each for each in os.listdir("/var/tmp") if each.startswith("cloche.")]


def _uid() -> int:
    return os.geteuid() or 65534


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
