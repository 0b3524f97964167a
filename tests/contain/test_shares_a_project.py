"""Two runs on one project: the second waits, begins from what the first left, and says whom it waits for."""

import json
import os
import subprocess
import sys
from pathlib import Path

ADD = 'n=$(cat count); echo $((n + 1)) > count; printf "%s" "$n"'


def _start(tmp_path: Path, script: str, *words: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-P", "-m", "cloche", "run", "--json", *words)
    return subprocess.Popen(
        [*command, "--project", str(tmp_path / "project"), "--", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
    )


def _wait_started(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "output":
            return
    raise AssertionError("it did not start")


def test_runs_of_one_project_are_one_after_another(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project/count").write_text("1\n")
    first = _start(tmp_path, f"{ADD}; cat > /dev/null")
    _wait_started(first)
    refused = _start(tmp_path, "true", "--wait", "0")
    told = [json.loads(line) for line in refused.communicate()[0].splitlines()]
    assert refused.returncode == 92
    assert str(first.pid) in told[-1]["message"]
    second = _start(tmp_path, ADD)
    assert second.stdout is not None
    waiting = next(e for e in map(json.loads, second.stdout) if e["type"] == "waiting")
    assert (waiting["reason"], waiting["position"]) == ("project", 1)
    assert waiting["holders"][0]["pid"] == first.pid
    first.communicate()
    assert first.returncode == 0
    rest = second.communicate()[0]
    assert second.returncode == 0
    assert [e["data"] for e in map(json.loads, rest.splitlines()) if e["type"] == "output"] == ["2"]
    assert (tmp_path / "project/count").read_text() == "3\n"


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project/count").write_text("1\n")
    first = _start(tmp_path, f"{ADD}; cat > /dev/null")
    _wait_started(first)
    first.kill()
    first.communicate()
    second = _start(tmp_path, ADD, "--wait", "0")
    second.communicate()
    assert second.returncode == 0
    assert (tmp_path / "project/count").read_text() == "2\n"
