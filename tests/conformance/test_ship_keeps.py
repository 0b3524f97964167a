"""Which steps a `cloche ship` that failed leaves for the next: with real npm, and no registry."""

import base64
import json
from pathlib import Path

import pytest
from tests.conformance.command import Ended, cloche

pytestmark = pytest.mark.slow

# Slow enough for a ceiling of a second: the next run has none, and nothing else is another.
BUILD = "mkdir -p dist && echo built > dist/index.html && sleep 4"


def make(project: Path, **scripts: str) -> Path:
    project.mkdir()
    manifest = {"name": "app", "version": "1.0.0", "scripts": {"build": BUILD, **scripts}}
    (project / "package.json").write_text(json.dumps(manifest))
    return project


def fail(project: Path) -> None:
    failed = cloche(project, "ship", "--timeout", "1")
    assert failed.events[-1]["code"] == "limit-breached", failed.events[-1]


def named(ended: Ended, kind: str) -> list[str]:
    return [event["step"] for event in ended.of(kind)]


def test_the_receipt_has_each_step_once_and_a_kept_one_as_it_was(tmp_path: Path) -> None:
    project = make(tmp_path / "app", postinstall="node -e 1")
    fail(project)
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    assert named(ended, "step-skipped") == ["script-postinstall"]
    (attestation,) = (project / "artifacts").glob("*.intoto.jsonl")
    statement = json.loads(base64.b64decode(json.loads(attestation.read_text())["payload"]))
    steps = [step["step"] for step in statement["predicate"]["steps"]]
    assert len(steps) == len(set(steps)), steps
    assert {"script-postinstall", "build"} <= set(steps)


def test_a_step_that_failed_and_may_is_not_kept(tmp_path: Path) -> None:
    """`prepare` is no reason to fail; another time it may do, and then the package is another."""
    project = make(tmp_path / "app", postinstall="node -e 1", prepare="node -e 'process.exit(1)'")
    fail(project)
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    # The scripts of the project are one leg: nothing of it is kept.
    assert named(ended, "step-skipped") == []
    assert {"script-postinstall", "script-prepare"} <= set(named(ended, "step-started"))
