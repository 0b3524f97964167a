"""`cloche run` as a user starts it, on a program that means harm."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DEFAULT = Path(__file__).resolve().parents[2] / "src/cloche/policy/default.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project, and a home of its own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def run(
    project: Path,
    *argv: str,
    policy: str = "",
    policy_file: Path | None = None,
    python: str = sys.executable,
    prefix: tuple[str, ...] = (),
    stdin: int = subprocess.DEVNULL,
) -> list[dict[str, object]]:
    """Run `argv` with the events of the run as the answer."""
    options = []
    if policy:
        policy_file = project.parent / "policy.yaml"
        policy_file.write_text(policy)
    if policy_file is not None:
        options = ["--policy", str(policy_file)]
    done = subprocess.run(
        [
            *(*prefix, python, "-m", "cloche", "run", "--json", *options),
            *("--project", str(project), "--", *argv),
        ],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(project.parent / "home"),
            "PYTHONPATH": os.environ.get("CLOCHE_TEST_SOURCE", ""),
        },
    )
    assert done.stdout, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def rules(events: list[dict[str, object]]) -> set[object]:
    return {event["rule"] for event in events if event["type"] == "denied"}


def printed(events: list[dict[str, object]]) -> str:
    return "".join(str(event["data"]) for event in events if event["type"] == "output")


def test_no_program_waits_for_a_disk_while_its_layer_may_still_be_thrown_away(
    project: Path,
) -> None:
    events = run(project, "grep", " /project ", "/proc/self/mountinfo")
    options = printed(events).rsplit(" ", 1)[-1].strip().split(",")
    # Newer kernels call it fsync=volatile.
    assert {"volatile", "fsync=volatile"} & set(options), printed(events)


def test_commits_what_an_honest_command_made(project: Path) -> None:
    events = run(project, "sh", "-c", "echo made > new")
    assert (project / "new").read_text() == "made\n"
    assert not rules(events)


def test_a_name_with_a_line_break_forges_no_line_of_the_diff(project: Path) -> None:
    hostile = project / "a\n+ honest"
    hostile.write_text("old")
    run(project, "sh", "-c", 'for name in *; do echo new > "$name"; done')
    done = subprocess.run(
        [sys.executable, "-m", "cloche", "diff", str(project)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(project.parent / "home")},
    )
    assert hostile.read_text() == "new\n"
    assert done.stdout.splitlines()[1:] == ["~ a\\x0a+ honest  3 bytes, now 4 bytes"]


def test_ends_with_its_program_while_its_input_stays_open(project: Path) -> None:
    ours, theirs = os.pipe()
    try:
        events = run(project, "true", stdin=ours)
    finally:
        os.close(theirs)
        os.close(ours)
    assert events[-1]["outcome"] == "ok"


def test_cannot_fill_the_disk(project: Path) -> None:
    events = run(
        project,
        *(
            "sh",
            "-c",
            "for i in 1 2 3 4 5 6 7 8 9; do head -c 40000000 /dev/zero > f$i; sleep 1; done",
        ),
        policy=DEFAULT.read_text().replace("limits: {}", "limits: {run: {disk_bytes: 60000000}}"),
    )
    assert "limits.disk_bytes" in rules(events)
    assert not list(project.iterdir())


HIDDEN = {
    "too deep to be named": "for _ in range(60): os.mkdir('d' * 200); os.chdir('d' * 200)",
    "in a directory that cannot be read": "os.mkdir('d'); os.chdir('d'); os.chmod('.', 0o300)",
}


@pytest.mark.parametrize("way", HIDDEN)
def test_cannot_fill_the_disk_with_what_is_hidden(way: str, prefix: tuple[str, ...]) -> None:
    program = (
        f"import os, time\n{HIDDEN[way]}\n"
        "for name in 'abcdefgh':\n"
        "    open(name, 'wb').write(os.urandom(1 << 20) * 40)\n"
        "    time.sleep(0.5)\n"
    )
    policy = DEFAULT.read_text().replace("limits: {}", "limits: {run: {disk_bytes: 60000000}}")
    with tempfile.TemporaryDirectory(prefix="cloche-disk-", ignore_cleanup_errors=True) as name:
        project = Path(name, "project")
        for each in (Path(name), project, Path(name, "home")):
            each.mkdir(exist_ok=True)
            if prefix:
                os.chown(each, 65534, 65534)
        events = run(project, "python3", "-c", program, policy=policy, prefix=prefix)
        assert "limits.disk_bytes" in rules(events)
        assert not list(project.iterdir())


def test_a_layer_that_holds_what_only_its_owner_may_list_is_measured(
    prefix: tuple[str, ...],
) -> None:
    # The work directory of an overlay is one, and those of the program are others.
    program = (
        "import os, time\n"
        "os.mkdir('shut'); open('shut/a', 'w').write('x'); os.chmod('shut', 0o000)\n"
        "os.mkdir('listed'); open('listed/a', 'w').write('x'); os.chmod('listed', 0o400)\n"
        "for name in 'abcd':\n"
        "    open(name, 'wb').write(os.urandom(1 << 20) * 8)\n"
        "    time.sleep(0.4)\n"
        "os.chmod('shut', 0o755); os.chmod('listed', 0o755)\n"
    )
    policy = DEFAULT.read_text().replace("limits: {}", "limits: {run: {disk_bytes: 60000000}}")
    with tempfile.TemporaryDirectory(prefix="cloche-disk-", ignore_cleanup_errors=True) as name:
        project = Path(name, "project")
        for each in (Path(name), project, Path(name, "home")):
            each.mkdir(exist_ok=True)
            if prefix:
                os.chown(each, 65534, 65534)
        events = run(project, "python3", "-c", program, policy=policy, prefix=prefix)
        assert not rules(events), events[-1]
        assert (project / "d").stat().st_size == 8 << 20


def test_each_attempt_to_leave_is_refused_and_told(project: Path) -> None:
    program = (
        "import socket\n"
        "for address in ('203.0.113.7', '169.254.169.254', 'attacker.example.org'):\n"
        "    try: socket.create_connection((address, 443), 3)\n"
        "    except OSError as error: print(error)\n"
    )
    events = run(project, "python3", "-c", program)
    tried = {event["tried"] for event in events if event["type"] == "denied"}
    assert {"tcp 203.0.113.7:443", "resolve attacker.example.org"} <= tried


def test_a_git_hook_is_not_committed(project: Path) -> None:
    events = run(project, "sh", "-c", "mkdir -p .git/hooks && echo evil > .git/hooks/pre-commit")
    assert not list(project.iterdir())
    assert "commit" in rules(events)


SCREENED = {
    "mkdir -p .GIT/hooks && echo evil > .GIT/hooks/pre-commit": "other systems take .GIT/hooks",
    "mkdir -p a/objects a/refs && touch a/HEAD a/config a/refs/x": "it is a repository to git",
    "touch 'aux.c'": "a device on Windows",
    "touch Readme README": "which is there too",
    "mkfifo p; ln -s /etc/passwd l; echo x > w; chmod 666 w": "let everybody write",
    "truncate -s 2000000000 holes": "bytes, at most",
}


@pytest.mark.parametrize("script", SCREENED)
def test_what_the_screening_refuses_is_told_and_not_committed(project: Path, script: str) -> None:
    events = run(project, "sh", "-c", script)
    told = [str(event["tried"]) for event in events if event["type"] == "denied"]
    assert any(SCREENED[script] in each for each in told), told
    assert not list(project.iterdir())
    assert set(told) == set(events[-1]["reasons"])  # type: ignore[call-overload]


def test_cannot_change_what_cloche_itself_runs_from(project: Path) -> None:
    (project / "venv").mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / "venv"], check=True)
    site = next((project / "venv/lib").glob("python3*/site-packages"))
    source = Path(__file__).resolve().parents[2] / "src"
    others = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "here.pth").write_text(f"{source}\n{others}\n")
    planted = f"{site.relative_to(project)}/evil.pth"

    events = run(
        project, "sh", "-c", f"echo import os > {planted}", python=str(project / "venv/bin/python")
    )

    assert not (project / planted).exists()
    assert "commit" in rules(events)


def test_cannot_change_the_policy_that_judges_it(project: Path) -> None:
    policy = project / "rules.yaml"
    policy.write_text(DEFAULT.read_text())
    events = run(project, "sh", "-c", "mv rules.yaml old; echo > rules.yaml", policy_file=policy)
    assert policy.read_text() == DEFAULT.read_text()
    assert "commit" in rules(events)


def test_cannot_read_a_secret_in_any_part_of_the_project(project: Path) -> None:
    for place in (".env", "apps/web/.env.local", "apps/web/deep/er/server.pem"):
        (project / place).parent.mkdir(parents=True, exist_ok=True)
        (project / place).write_text(f"secret of {place}")
    events = run(project, "sh", "-c", "cat .env apps/web/.env.local apps/web/deep/er/*; ls -A")
    assert "secret of" not in printed(events)
    assert "apps" in printed(events)


def test_cannot_read_what_a_hidden_name_links_to(project: Path) -> None:
    for place in ("config/one", "config/two"):
        (project / place).parent.mkdir(exist_ok=True)
        (project / place).write_text(f"secret of {place}")
    (project / ".env").symlink_to("config/.by-way-of")
    (project / "config/.by-way-of").symlink_to("one")
    (project / "config/.env.local").symlink_to(project / "config/two")
    events = run(project, "sh", "-c", "cat .env config/* config/.*; ls config")
    assert "secret of" not in printed(events)
    assert "two" in printed(events)


def test_a_rule_that_names_a_tools_tree_holds_in_it(project: Path) -> None:
    for place in (".git/config", "node_modules/own/token", "vault/.git/x"):
        (project / place).parent.mkdir(parents=True)
        (project / place).write_text(f"secret of {place}")
    named = ('"**/.git/config"', '"node_modules/own/**"', '"vault/**"')
    rules_of_ours = "\n      - ".join(('- "**/*.p12"', *named))
    policy = DEFAULT.read_text().replace('- "**/*.p12"', rules_of_ours)
    events = run(
        project, "sh", "-c", "cat .git/config node_modules/own/token vault/.git/x", policy=policy
    )
    assert "secret of" not in printed(events)
