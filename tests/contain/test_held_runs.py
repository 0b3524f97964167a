"""`cloche run --hold`, `diff`, `commit` and `discard` as a person types them, as root and as an ordinary user."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cloche import Kernel, KernelSettings
from cloche.workspace.errors import ChangesRefused
from cloche.workspace.workspace import Workspace

HOSTILE = r"""
printf 'one\n\033]0;title\007two\n' > text.txt
mkdir -p new/deep; echo 1 > new/deep/1; echo 2 > new/2; chmod 555 new/deep
rm -r dist; mkdir dist; echo built > dist/app.js; chmod 400 dist/app.js; chmod 500 dist
rm gone.txt
"""


class Desk:
    """A project of one user, and the command."""

    def __init__(self, home: Path, prefix: tuple[str, ...]) -> None:
        self.home, self.prefix = home, prefix
        self.project = home / "project"
        for path, content in {
            "text.txt": "one\n",
            "dist/old.js": "old\n",
            "gone.txt": "gone\n",
        }.items():
            (self.project / path).parent.mkdir(parents=True, exist_ok=True)
            (self.project / path).write_text(content)
        if prefix:
            for path in (home, self.project, *self.project.rglob("*")):
                os.chown(path, 65534, 65534)

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.prefix, sys.executable, "-m", "cloche", *words],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self, script: str, *options: str) -> "subprocess.CompletedProcess[str]":
        return self("run", *options, "--project", str(self.project), "--", "sh", "-c", script)

    def of(self, command: str, *options: str) -> "subprocess.CompletedProcess[str]":
        return self(command, str(self.project), *options)

    def lines(self, command: str, *options: str) -> list[dict[str, Any]]:
        done = self.of(command, "--json", *options)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.project)): path.read_text()
            for path in self.project.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def desk(prefix: tuple[str, ...]) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="cloche-desk-", ignore_cleanup_errors=True) as name:
        yield Desk(Path(name), prefix)


def test_a_held_run_is_looked_at_committed_in_part_and_taken_back(desk: Desk) -> None:
    before = desk.files()
    assert desk.run(HOSTILE, "--hold").returncode == 0
    assert desk.files() == before

    shown = desk.of("diff", "--text")
    assert shown.returncode == 0
    assert shown.stdout.startswith("held, not committed: ")
    assert "\x1b" not in shown.stdout
    assert "    +\\x1b]0;title\\x07two" in shown.stdout.splitlines()
    assert "~ text.txt  4 bytes, now 18 bytes" in shown.stdout.splitlines()
    assert "+ new/  4 entries, 4 bytes" in shown.stdout.splitlines()
    assert "- gone.txt  5 bytes" in shown.stdout.splitlines()
    assert desk.of("diff", "--stat").stdout.count("\n") == 1
    assert all(line["held"] for line in desk.lines("diff"))
    kinds = {line["path"]: line["kind"] for line in desk.lines("diff")}
    assert kinds["dist/app.js"] == "add"
    assert kinds["dist/old.js"] == "delete"

    refused = desk.of("commit", "--only", "dist/app.js")
    assert refused.returncode == 67
    assert "take all of it with 'dist'" in refused.stderr
    done = desk.of("commit", "--only", "dist/", "--only", "new/**/1")
    assert done.returncode == 0, done.stderr
    assert "3 changes were not selected and are gone" in done.stdout
    after = {**before, "dist/app.js": "built\n", "new/deep/1": "1\n"}
    del after["dist/old.js"]
    assert desk.files() == after
    modes = {p: (desk.project / p).stat().st_mode & 0o777 for p in ("new/deep", "dist")}
    assert modes == {"new/deep": 0o555, "dist": 0o500}

    assert not any(line["held"] for line in desk.lines("diff"))
    assert desk.of("commit").returncode == 69
    assert desk.of("undo").returncode == 0
    assert desk.files() == before


def test_a_held_run_is_thrown_away(desk: Desk) -> None:
    before = desk.files()
    desk.run(HOSTILE, "--hold")
    again = desk.run("echo x > y", "--hold")
    assert "is thrown away" in again.stderr
    assert [item["path"] for item in desk.lines("diff")] == ["y"]
    assert "one run is held" in desk.of("recover").stdout
    assert desk.of("discard").returncode == 0
    assert desk.of("discard").returncode == 69
    assert desk.lines("diff") == []
    assert desk.files() == before


def test_what_the_policy_refuses_is_held_and_the_rest_of_it_can_be_committed(desk: Desk) -> None:
    before = desk.files()
    refused = desk.run("mkdir .git; echo x > .git/config; mkfifo pipe; echo good > good.txt")
    assert refused.returncode == 96
    assert "what the run did is held" in refused.stderr
    assert "+ .git/config  2 bytes" in desk.of("diff").stdout.splitlines()
    assert desk.of("commit").returncode == 96
    assert desk.files() == before
    assert desk.of("commit", "--only", "good.txt").returncode == 0
    assert desk.files() == {**before, "good.txt": "good\n"}


def test_an_edit_during_the_run_is_settled_afterwards(desk: Desk) -> None:
    words = [*desk.prefix, sys.executable, "-m", "cloche", "run", "--project", str(desk.project)]
    running = subprocess.Popen(
        [*words, "--", "sh", "-c", "echo run >> text.txt; echo run > out.txt; echo ready; read go"],
        env={"PATH": os.environ["PATH"], "HOME": str(desk.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    (desk.project / "text.txt").write_text("user\n")
    _, told = running.communicate("go\n", timeout=60)
    assert running.returncode == 95
    assert "--conflicts theirs" in told
    assert desk.files()["text.txt"] == "user\n"
    assert "out.txt" not in desk.files()
    done = desk.of("commit", "--conflicts", "ours", "--json")
    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)["kept_aside"]
    place = Path(said.partition("your version: ")[2].rstrip(")"))
    assert place.read_text() == "user\n"
    assert desk.files()["text.txt"] == "one\nrun\n"
    assert desk.files()["out.txt"] == "run\n"


def test_what_was_hidden_from_a_run_is_not_deleted_by_a_later_commit(tmp_path: Path) -> None:
    (tmp_path / "project/conf").mkdir(parents=True)
    (tmp_path / "project/conf/settings").write_text("kept")
    # As without namespaces, where a copy without the hidden file can be deleted.
    with closing(Workspace.open(tmp_path / "project", tmp_path / "state")) as workspace:
        transaction = workspace.begin()
        os.mknod(transaction.upper / "conf", stat.S_IFCHR, os.makedev(0, 0))
        transaction.hold("run", hidden=frozenset({"conf/settings"}), when=1.0)

    async def scene() -> None:
        async with Kernel.open(KernelSettings(state_home=tmp_path / "state")) as kernel:
            project = await kernel.project(tmp_path / "project", any_directory=True)
            with pytest.raises(ChangesRefused, match="the policy hides it"):
                await project.commit()
            assert await project.held() is not None

    asyncio.run(scene())
    assert (tmp_path / "project/conf/settings").read_text() == "kept"
