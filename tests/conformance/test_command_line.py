"""The command as a program uses it: one JSON object a line, and a published exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEFAULT_POLICY = Path(__file__).resolve().parents[2] / "src/cloche/policy/default.yaml"


def cloche(home: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "cloche", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "c"),
        },
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    return place


def test_a_run_is_a_stream_of_events(tmp_path: Path, project: Path) -> None:
    command = ("run", "--json", "--project", str(project), "--", "sh", "-c", "echo hi > a; exit 0")
    status, events = cloche(tmp_path, *command)
    assert status == 0
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("run-started", "run-finished")
    assert {"step-started", "confined", "usage-measured", "step-finished"} < set(kinds)
    assert [e["added"] for e in events if e["type"] == "changes-committed"] == [1]
    _, changes = cloche(tmp_path, "diff", "--json", str(project))
    assert [(each["kind"], each["path"]) for each in changes] == [("add", "a")]
    status, undone = cloche(tmp_path, "undo", "--json", str(project))
    assert (status, undone[0]["type"]) == (0, "undone")
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("doctor",), "doctor"),
        (("scaffold", "list", "-"), "template"),
        (("policy", "check", str(DEFAULT_POLICY)), "policy"),
        (("policy", "explain", "write", ".git/config"), "decision"),
    ],
)
def test_what_only_looks_speaks_json_too(
    tmp_path: Path, arguments: tuple[str, ...], kind: str
) -> None:
    status, lines = cloche(tmp_path, *arguments, "--json")
    assert status == 0
    assert {line["type"] for line in lines} == {kind}


def test_doctor_names_each_tool_with_its_place_and_digest_or_how_to_get_it(tmp_path: Path) -> None:
    _, (told,) = cloche(tmp_path, "doctor", "--json")
    found = {tool["name"]: tool for tool in told["toolchains"]}
    missing = {lack["name"] for lack in told["missing"]}
    assert {"node", "rust", "dotnet"} <= set(found) | missing | (
        {"node"} if "npm" in missing else set()
    )
    for tool in found.values():
        assert Path(tool["path"]).is_dir()
        assert len(tool["sha256"]) == 64
        assert tool["inside"].startswith(("/usr", "/toolchain/"))
    assert all(lack["mend"] for lack in told["missing"])


def test_an_error_is_an_object_with_code_reasons_and_remedy(tmp_path: Path, project: Path) -> None:
    status, lines = cloche(tmp_path, "ship", "--json", str(project))
    assert status == 115
    error = lines[-1]
    assert (error["type"], error["code"]) == ("error", "no-runtime")
    assert error["remedy"]


@pytest.mark.parametrize(
    ("script", "options", "expected"),
    [
        ("exit 7", (), 7),
        ("kill -9 $$", (), 137),
        ("sleep 9", ("--timeout", "0.5"), 114),
        ("ln -s /etc/passwd leak", (), 96),
    ],
)
def test_the_exit_status_is_the_programs_or_says_what_stopped_it(
    tmp_path: Path, project: Path, script: str, options: tuple[str, ...], expected: int
) -> None:
    command = ("run", "--json", *options, "--project", str(project), "--", "sh", "-c", script)
    assert cloche(tmp_path, *command)[0] == expected
    assert list(project.iterdir()) == []
