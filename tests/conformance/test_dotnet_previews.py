"""What was built, shown: a web application answers, a worker prints, and nothing of either is left."""

import contextlib
import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.conformance.person import Person
from tests.conformance.preview_double import ask, family_of
from tests.conformance.test_dotnet_projects_ship import LIBRARY

pytestmark = pytest.mark.slow


def built(person: Person, template: str, name: str) -> Path:
    project = person.place / name
    assert person.cloche("scaffold", template, str(project)).status == 0
    for verb in ("resolve", "build"):
        ended = person.cloche(verb, str(project))
        assert ended.status == 0, ended.events[-1]
    return project


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def still_there(family: dict[int, str]) -> dict[int, str]:
    """Give those of a family that live on; a number may since be another's."""
    return {pid: said for pid, said in family.items() if said and command_of(pid) == said}


def wait_for(process: "subprocess.Popen[str]", kind: str, text: str = "") -> dict[str, object]:
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, object] = json.loads(line)
        if event["type"] == kind and text in str(event.get("data", "")):
            return event
    raise AssertionError(f"no {kind} came")


def test_a_web_application_answers_and_leaves_nothing(person: Person) -> None:
    project = built(person, "dotnet-web", "shown")
    with person.start("preview", str(project)) as process:
        url = str(wait_for(process, "preview-ready")["url"])
        port = int(url.rpartition(":")[2].strip("/"))
        assert b'"name":"shown"' in ask(port)
        assert b"Hello, Ada." in ask(port, path="/greetings/Ada")
        family = {pid: command_of(pid) for pid in family_of(process.pid)}
        assert any("shown.dll" in said for said in family.values())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert still_there(family) == {}
    assert not (project / "artifacts").exists()


def test_a_worker_is_shown_by_what_it_prints_and_leaves_nothing(person: Person) -> None:
    project = built(person, "dotnet-worker", "working")
    with person.start("preview", str(project)) as process:
        wait_for(process, "output", "working works at")
        family = {pid: command_of(pid) for pid in family_of(process.pid)}
        assert any("working.dll" in said for said in family.values())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert still_there(family) == {}


def test_a_program_that_ends_is_a_preview_that_ended(person: Person) -> None:
    ended = person.cloche("preview", str(built(person, "dotnet-console", "short")))
    assert ended.status == 0, ended.events[-1]
    assert "Hello from short." in "".join(event["data"] for event in ended.of("output"))


def test_the_servers_of_a_build_end_with_it(person: Person) -> None:
    """Three projects and more share a compiler's server, and MSBuild starts nodes: in the jar, both."""
    project = person.own(Path(shutil.copytree(LIBRARY, person.place / "served")))
    assert person.cloche("resolve", str(project)).status == 0
    family: dict[int, str] = {}
    with person.start("build", str(project)) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            family |= {pid: command_of(pid) for pid in family_of(process.pid)}
        assert process.wait(60) == 0
    assert any("VBCSCompiler" in said for said in family.values()), sorted(family.values())
    assert still_there(family) == {}
