"""`cloche preview` of Rust projects: a web service on its port, a program as in a terminal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.command import cloche
from tests.conformance.crates import find_rust
from tests.conformance.preview_double import Previewing, ask

APP = '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n'
LOCK = 'version = 4\n\n[[package]]\nname = "app"\nversion = "1.0.0"\n'
ASKS = """\
use std::io::{stdin, stdout, Write};

fn main() {
    loop {
        print!("\\x1b]0;title\\x07name? ");
        stdout().flush().unwrap();
        let mut name = String::new();
        if stdin().read_line(&mut name).unwrap() == 0 { break }
        println!("hello {}", name.trim());
        std::fs::write("said", name).unwrap();
    }
}
"""


@pytest.fixture(autouse=True)
def _needs_rust(tmp_path: Path) -> None:
    find_rust(tmp_path / "digests.json")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    (place / "src").mkdir(parents=True)
    (place / "Cargo.toml").write_text(APP)
    (place / "Cargo.lock").write_text(LOCK)
    (place / "src/main.rs").write_text(ASKS)
    return place


@pytest.fixture
def session(project: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "XDG_STATE_HOME": str(project.parent / "state")}
    with subprocess.Popen(
        [sys.executable, "-m", "cloche", "preview", str(project)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_to(running: subprocess.Popen[bytes], end: bytes) -> bytes:
    assert running.stdout is not None
    said = b""
    while not said.endswith(end):
        one = os.read(running.stdout.fileno(), 1)
        assert one, said.decode()
        said += one
    return said


def test_a_program_answers_what_is_typed_and_nothing_is_committed(
    session: subprocess.Popen[bytes], project: Path
) -> None:
    assert session.stdin is not None
    first = read_to(session, b"name? ")
    assert b"\x1b" not in first, "what a terminal would obey"
    for name in (b"jar", b"glass"):
        session.stdin.write(name + b"\n")
        session.stdin.flush()
        assert read_to(session, b"name? ") == b"hello " + name + b"\nname? "
    session.stdin.close()
    assert session.wait(60) == 0
    assert sorted(path.name for path in project.iterdir()) == ["Cargo.lock", "Cargo.toml", "src"]


def test_an_interrupt_ends_a_program(session: subprocess.Popen[bytes]) -> None:
    read_to(session, b"name? ")
    session.send_signal(signal.SIGINT)
    assert session.wait(60) == 130


def test_a_library_has_nothing_to_preview_and_says_so(project: Path) -> None:
    (project / "src/main.rs").rename(project / "src/lib.rs")
    ended = cloche(project, "preview")
    assert (ended.status, ended.events[-1]["code"]) == (105, "cannot-plan")
    assert "no program" in ended.events[-1]["message"]


def test_what_does_not_compile_is_told_with_its_place(project: Path) -> None:
    (project / "src/main.rs").write_text("fn main() { x }\n")
    ended = cloche(project, "preview")
    assert ended.events[-1]["code"] == "step-failed"
    assert ended.of("found")[0]["diagnostic"]["file"] == "src/main.rs"


@pytest.mark.registry
@pytest.mark.slow
def test_a_web_service_answers_on_its_port(tmp_path: Path) -> None:
    project = tmp_path / "project"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "cloche"]
    subprocess.run([*command, "scaffold", "rust-axum", str(project)], check=True, env=environment)
    resolved = cloche(project, "resolve")
    assert resolved.status == 0, resolved.events[-1]
    with Previewing(project, environment) as preview:
        answer = ask(preview.port(), "Host: 127.0.0.1", "Connection: close", path="/greetings/jar")
        assert answer.endswith(b'{"text":"Hello, jar!"}'), answer
        assert preview.interrupt() == 130
    assert not (project / "target").exists()
