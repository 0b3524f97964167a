"""`cloche preview`: what the user sees follows their edits, what strangers see is nothing, and it ends whole."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance.preview_double import Previewing, WebSocket, ask

from cloche.errors import InvalidValue
from cloche.kernel.errors import NoToolchain, NotReady, PortUnavailable
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.node.provider import NodeProvider

SERVER = """
const http = require('http'), fs = require('fs')
const shown = (name) => { try { return fs.readFileSync(name, 'utf8') } catch { return 'absent' } }
const server = http.createServer((request, response) => {
  if (request.url === '/stop') process.exit(3)
  response.end(`you asked ${request.url}; page ${shown('page.txt').length}; ` +
    `secret ${shown('.env.local')}; mark ${shown('z-mark.txt')}; ${shown('page.txt').slice(0, 40)}`)
})
server.listen(Number(process.env.PORT), process.env.HOST)
"""


@pytest.fixture(scope="module", autouse=True)
def _needs_node(tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        memory = tmp_path_factory.mktemp("tools") / "digests.json"
        find_toolchains(NodeProvider.toolchains, os.environ, memory)
    except NoToolchain as missing:
        pytest.skip(f"nothing to serve with: {missing}")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, with the configuration this machine's user has for npm."""
    (tmp_path / "home").mkdir()
    theirs = Path(os.environ.get("HOME", "/nonexistent")) / ".npmrc"
    if theirs.is_file():
        shutil.copy(theirs, tmp_path / "home/.npmrc")
    wanted = re.compile(r"(?i)npm_config_|https?_proxy\Z|no_proxy\Z|NODE_EXTRA_CA_CERTS\Z")
    taken = {key: value for key, value in os.environ.items() if wanted.match(key)}
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), **taken}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    (place / "package.json").write_text(
        json.dumps({"name": "served", "version": "1.0.0", "scripts": {"dev": "node server.js"}})
    )
    (place / "server.js").write_text(SERVER)
    (place / "page.txt").write_text("first")
    (place / "z-mark.txt").write_text("unmarked")
    return place


@pytest.fixture
def preview(project: Path, environment: dict[str, str]) -> Iterator[Previewing]:
    with Previewing(project, environment) as running:
        yield running


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def test_an_edit_reaches_the_running_server(preview: Previewing, project: Path) -> None:
    port = preview.port()
    assert b"first" in ask(port)
    (project / "page.txt").write_text("second")
    wait_until(lambda: b"second" in ask(port))
    # As editors save: another file, moved over the old one.
    (project / ".page.tmp").write_text("third")
    (project / ".page.tmp").replace(project / "page.txt")
    wait_until(lambda: b"third" in ask(port))
    (project / "page.txt").unlink()
    wait_until(lambda: b"absent" in ask(port))


def test_a_file_too_long_to_carry_is_not_taken_away(preview: Previewing, project: Path) -> None:
    port = preview.port()
    assert b"mark unmarked;" in ask(port)
    with (project / "page.txt").open("wb") as page:
        page.truncate((16 << 20) + 1)
    # What replaces a file is seen inside only once it was carried, and the page was looked at before.
    (project / ".mark.tmp").write_text("carried")
    (project / ".mark.tmp").replace(project / "z-mark.txt")
    wait_until(lambda: b"mark carried;" in ask(port))
    assert b"page %d;" % ((16 << 20) + 1) in ask(port)


def test_a_secret_saved_while_it_runs_is_hidden_too(preview: Previewing, project: Path) -> None:
    port = preview.port()
    (project / ".env.local").write_text("KEY=open-sesame")
    wait_until(lambda: b"secret ;" in ask(port))


def test_an_interrupt_leaves_nothing(
    project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    with Previewing(project, environment) as first:
        first.port()
        assert first.interrupt() == 130
    before, state = snapshot(project), set(snapshot(tmp_path / "home/.local"))
    with Previewing(project, environment) as running:
        ask(running.port())
        family = running.descendants()
        assert family
        assert running.interrupt() == 130
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
    ours = set(Path("/proc/self/cgroup").read_text().splitlines())
    groups = {line.split(":", 2)[2] for lines in family.values() for line in lines} - {
        line.split(":", 2)[2] for line in ours
    }
    left = [str(p) for p in Path("/sys/fs/cgroup").rglob("*") if any(g in str(p) for g in groups)]
    assert left == []
    assert str(project) not in Path("/proc/self/mounts").read_text()
    assert snapshot(project) == before
    assert set(snapshot(tmp_path / "home/.local")) == state


def test_a_server_that_ends_by_itself_is_an_error_of_its_own(preview: Previewing) -> None:
    port = preview.port()
    ask(port, path="/stop")
    assert preview.wait_for("run-finished")["code"] == NotReady.code
    assert preview.status() == NotReady.exit_status


def test_a_server_that_never_listens_is_an_error_of_its_own(
    project: Path, environment: dict[str, str]
) -> None:
    (project / "server.js").write_text("console.error('no licence')")
    with Previewing(project, environment) as running:
        finished = running.wait_for("run-finished")
        assert finished["code"] == NotReady.code
        assert "ended before it answered" in finished["message"]
        assert running.status() == NotReady.exit_status


@pytest.mark.parametrize("taken", [True, False])
def test_a_port_that_cannot_be_had_is_an_error_of_its_own(
    project: Path, environment: dict[str, str], *, taken: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1] if taken else 70_000
        with Previewing(project, environment, "--port", str(port)) as running:
            error = running.wait_for("error")
            assert error["code"] == (PortUnavailable.code if taken else InvalidValue.code)
            assert str(port) in error["message"]
            assert running.status() != 0


def test_a_page_of_another_site_is_refused(preview: Previewing) -> None:
    port = preview.port()
    mine = f"Host: 127.0.0.1:{port}"
    for headers in [
        ("Host: evil.example.org",),
        (f"Host: evil.example.org:{port}",),
        (f"Host: 127.0.0.1.evil.example.org:{port}",),
        (f"Host: localhost.evil.example.org:{port}",),
        ("Host: 203.0.113.7",),
        (mine, "Host: evil.example.org"),
        ("X-Nothing: here",),
        (mine, "Origin: http://evil.example.org"),
        (mine, f"Origin: http://evil.example.org:{port}"),
        (mine, f"Origin: http://127.0.0.1:{port}.evil.example.org"),
        (mine, "Origin: null"),
    ]:
        answer = ask(port, *headers)
        assert answer.startswith(b"HTTP/1.1 403 "), headers
        assert b"you asked" not in answer, headers
    for headers in [(mine,), (f"Host: localhost:{port}",), (mine, f"Origin: http://{mine[6:]}")]:
        assert b"you asked /" in ask(port, *headers), headers


def test_a_page_of_another_site_cannot_open_a_websocket(preview: Previewing) -> None:
    port = preview.port()
    for origin in ("http://evil.example.org", "null"):
        with WebSocket(port, "/", "x", f"Host: 127.0.0.1:{port}", f"Origin: {origin}") as opened:
            assert opened.status == 403


def test_a_second_request_on_a_kept_connection_is_not_answered(preview: Previewing) -> None:
    port = preview.port()
    second = (
        f"GET /second HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://evil.example.org\r\n\r\n"
    )
    answer = ask(port, f"Host: 127.0.0.1:{port}", "Connection: keep-alive", again=second)
    assert b"you asked /;" in answer
    assert b"second" not in answer


# What follows fetches the template's packages from the registries of this machine.


@pytest.fixture
def application(tmp_path: Path, environment: dict[str, str]) -> Path:
    place = tmp_path / "application"

    def cloche(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cloche", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert cloche("scaffold", "react-ts", str(place)) == ""
    if failure := cloche("resolve", "--json", str(place)):
        if re.search("ENOTFOUND|ECONNREFUSED|network.unreachable", failure):
            pytest.skip("needs registries that this machine can reach")
        raise AssertionError(failure)
    return place


@pytest.mark.registry
def test_the_template_is_served_and_updates_the_page(
    application: Path, environment: dict[str, str]
) -> None:
    with Previewing(application, environment) as running:
        port = running.port()
        assert b'<div id="root">' in ask(port)
        token = re.search(rb'wsToken = "([^"]+)"', ask(port, path="/@vite/client"))
        assert token is not None
        ask(port, path="/src/main.tsx")
        ask(port, path="/src/App.tsx")
        with WebSocket(port, f"/?token={token[1].decode()}", "vite-hmr") as channel:
            assert channel.status == 101
            assert channel.message()["type"] == "connected"
            before = snapshot(application)
            page = application / "src/App.tsx"
            page.write_text(page.read_text().replace("Pressed", "Touched"))
            while (update := channel.message())["type"] != "update":
                pass
            assert update["updates"][0]["path"] == "/src/App.tsx"
        assert b"Touched" in ask(port, path="/src/App.tsx")
        assert running.interrupt() == 130
    after = snapshot(application)
    assert {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    } == {"src/App.tsx"}


@pytest.mark.registry
def test_a_real_browser_shows_the_template(
    application: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs a browser: chromium or google-chrome")
    with Previewing(application, environment) as running:
        port = running.port()
        shown = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server",
             "--virtual-time-budget=8000", f"--user-data-dir={tmp_path}/browser", "--dump-dom",
             f"http://127.0.0.1:{port}/"],
            capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )  # fmt: skip
        assert "Pressed 0 times" in shown.stdout
