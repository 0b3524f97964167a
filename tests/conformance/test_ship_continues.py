"""`cloche ship` goes on after the last good step, with real npm; what a changed input decides runs again."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from tests.conformance.command import Ended, cloche

import cloche.policy as cloche_policy

CLOCHE = (sys.executable, "-m", "cloche")
BROKEN = "const wrong: number = 'text'; export default wrong;\n"
DEFAULT = Path(cloche_policy.__path__[0]) / "default.yaml"
FETCH = {"fetch", "lay-out"}

pytestmark = [pytest.mark.registry, pytest.mark.slow]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project of which a ship has fetched everything and failed to build."""
    project = tmp_path / "app"
    done = subprocess.run([*CLOCHE, "scaffold", "react-ts", str(project)], check=False)
    assert done.returncode == 0
    (project / "src/broken.ts").write_text(BROKEN)
    ended = cloche(project, "ship")
    assert ended.status != 0
    assert ran(ended) & FETCH
    assert not skipped(ended)
    assert any("goes on" in note["text"] for note in ended.of("note"))
    assert not (project / "node_modules").exists()
    return project


def ran(ended: Ended) -> set[str]:
    return {event["step"] for event in ended.of("step-started")}


def skipped(ended: Ended) -> set[str]:
    return {event["step"] for event in ended.of("step-skipped")}


def content(project: Path) -> dict[str, bytes]:
    """Give what is in the package, but for what the run says of itself."""
    (package,) = (project / "artifacts").glob("*.tar")
    with tarfile.open(package) as archive:
        files = {m.name: archive.extractfile(m) for m in archive if m.isfile()}
        return {
            name: file.read()
            for name, file in files.items()
            if file is not None and name not in ("containment.json", "manifest.json")
        }


def test_only_the_build_runs_again_when_a_source_is_mended(project: Path) -> None:
    (project / "src/broken.ts").unlink()
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    assert skipped(ended) & FETCH
    assert not ran(ended) & FETCH
    assert {"build", "types"} <= ran(ended)
    continued = content(project)
    (package,) = (project / "artifacts").glob("*.tar")
    with tarfile.open(package) as archive:
        told = archive.extractfile("containment.json")
        assert told is not None
        steps = json.loads(told.read())
    assert any(name in json.dumps(steps) for name in FETCH), "the receipt lacks the kept step"
    verified = subprocess.run(
        [*CLOCHE, "verify", str(package)],
        env={**os.environ, "XDG_STATE_HOME": str(project.parent / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert cloche(project, "undo").status == 0
    fresh = cloche(project, "ship", "--fresh")
    assert fresh.status == 0
    assert not skipped(fresh)
    assert content(project) == continued


def test_what_is_asked_for_runs_again(project: Path) -> None:
    ended = cloche(project, "ship", "--fresh")
    assert ran(ended) & FETCH
    assert not skipped(ended)
    again = cloche(project, "ship")
    assert skipped(again) & FETCH
    assert "build" in ran(again)


@pytest.mark.parametrize("changed", ["manifest", "policy", "packages"])
def test_what_depends_on_a_changed_input_runs_again(project: Path, changed: str) -> None:
    (project / "src/broken.ts").unlink()
    options: tuple[str, ...] = ()
    match changed:
        case "manifest":
            manifest = json.loads((project / "package.json").read_text())
            manifest["version"] = "0.1.1"
            (project / "package.json").write_text(json.dumps(manifest))
        case "policy":
            policy = project.parent / "policy.yaml"
            policy.write_text(
                DEFAULT.read_text().replace('- "**/.netrc"', '- "**/.netrc"\n      - "**/.secret"')
            )
            options = ("--policy", str(policy))
        case _:
            (project / "node_modules").mkdir()
            (project / "node_modules/mine").write_text("put here by hand")
    ended = cloche(project, "ship", *options)
    assert ended.status == 0, ended.events[-1]
    if changed == "packages":
        # A tool's own tree, laid out anew: the user's copy goes into the undo record.
        assert not (project / "node_modules/mine").exists()
    else:
        assert not skipped(ended)
        assert ran(ended) & FETCH


def test_a_killed_ship_is_continued(project: Path) -> None:
    """The fixture's build fails; this one is killed in the middle of it, and the next knows of both."""
    (project / "src/broken.ts").unlink()
    manifest = json.loads((project / "package.json").read_text())
    manifest["scripts"]["build"] = f"node wait.mjs && {manifest['scripts']['build']}"
    (project / "package.json").write_text(json.dumps(manifest))
    (project / "wait.mjs").write_text("console.log('waiting'); setTimeout(() => {}, 60_000);\n")
    with subprocess.Popen(
        [*CLOCHE, "ship", "--json", str(project)],
        env={**os.environ, "XDG_STATE_HOME": str(project.parent / "state")},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line).get("type") == "output" and "waiting" in line:
                break
        time.sleep(0.3)
        running.send_signal(signal.SIGKILL)
    assert not (project / "node_modules").exists()
    (project / "wait.mjs").write_text("")
    ended = cloche(project, "ship")
    assert ended.status == 0, ended.events[-1]
    assert skipped(ended) & FETCH
    assert "build" in ran(ended)


def test_one_part_goes_on_from_its_own_steps_and_never_from_those_of_a_part_like_it(
    tmp_path: Path,
) -> None:
    project = tmp_path / "project"
    manifest = {"name": "app", "version": "1.0.0", "dependencies": {"is-number": "7.0.0"}}
    for name in ("web", "api"):
        (project / name).mkdir(parents=True)
        text = json.dumps({**manifest, "scripts": {"build": "node build.js"}})
        (project / name / "package.json").write_text(text)
        (project / name / "build.js").write_text("process.exit(3)")
    assert cloche(project, "ship", "--part", "web").status == 113
    again = cloche(project, "ship", "--part", "web")
    assert skipped(again) >= {"web/lock"}
    assert not ran(again) & {f"web/{step}" for step in FETCH}
    other = cloche(project, "ship", "--part", "api")
    assert not skipped(other)
    assert ran(other) & {f"api/{step}" for step in FETCH}
