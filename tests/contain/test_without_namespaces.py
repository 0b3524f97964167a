"""The landlock tier: what it holds, that what it does not hold is said, and that nobody gets it unasked."""

import errno
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from tests.contain.tier import ROOT, Cloche, events, needs_landlock, printed, run_in, uid

pytestmark = needs_landlock

STATED = {  # docs/tiers.md, "What it does not hold"
    "ask-the-size-of-a-secret",
    "change-the-rights-of-the-users-files",
    "hold-up-who-locks-a-file-of-the-system",
    "learn-the-hosts-name",
    "leave-an-orphan-behind",
}


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
        os.chown(each, uid(), uid() if os.geteuid() == 0 else -1)
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
        os.chown(each, uid(), uid() if os.geteuid() == 0 else -1)
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
        os.chown(each, uid(), uid() if os.geteuid() == 0 else -1)
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


MARKS = """
import os
for place in ("../../../up", "."):
    open_here = os.open(".", os.O_RDONLY)
    for deed in (
        lambda: os.setxattr(place, "user.overlay.opaque", b"y"),
        lambda: os.setxattr(place, "user.overlay.opaque", b"y", follow_symlinks=False),
        lambda: os.setxattr(open_here, "user.overlay.opaque", b"y"),
        lambda: os.removexattr(place, "user.overlay.opaque"),
        lambda: os.removexattr(place, "user.overlay.opaque", follow_symlinks=False),
        lambda: os.removexattr(open_here, "user.overlay.opaque"),
    ):
        try:
            deed()
            print("done")
        except OSError as error:
            print(error.errno)
open("new", "w").close()
"""


def test_layers_that_a_commit_goes_by_are_not_marked_by_a_program(
    place: Path, cloche: Cloche
) -> None:
    """One that is marked as hiding what is below it is the deletion of it: of another part, say."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3, which the sandbox shows")
    old = place / "project/old"
    old.write_text("old\n")
    os.chown(old, *((65534, 65534) if os.geteuid() == 0 else (-1, -1)))
    done = run_in(place, cloche, "/usr/bin/python3", "-I", "-c", MARKS)
    assert done.returncode == 0, done.stderr
    assert printed(done).split() == [str(errno.EPERM)] * 12
    assert sorted(path.name for path in (place / "project").iterdir()) == ["new", "old"]


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


def test_a_failed_ship_is_continued(place: Path, cloche: Cloche) -> None:
    if shutil.which("node") is None:
        pytest.skip("needs a Node that an ordinary user may run")
    scripts = {
        "postinstall": "mkdir -p made/in && echo 1 > made/in/file",
        "build": "mkdir -p dist && mv made/in/file dist/index.html && chmod 555 . && sleep 4",
    }
    manifest = place / "project/package.json"
    manifest.write_text(json.dumps({"name": "app", "version": "1.0.0", "scripts": scripts}))
    failed = cloche("ship", "--timeout", "1", str(place / "project"))
    assert events(failed)[-1]["code"] == "limit-breached"
    assert [each.name for each in (place / "project").iterdir()] == ["package.json"]
    done = cloche("ship", str(place / "project"))
    assert done.returncode == 0, done.stdout[-2000:]
    skipped = [event["step"] for event in events(done) if event["type"] == "step-skipped"]
    assert skipped == ["script-postinstall"]
    assert (place / "project/dist/index.html").read_text() == "1\n"
    assert not list((place / "project/made/in").iterdir())
