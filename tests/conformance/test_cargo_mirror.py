"""Rust projects of a user whose own cargo configuration puts a mirror in the place of the usual registry."""

import gzip
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.command import cloche
from tests.conformance.crates import find_rust

NAME = "cfg-if"
FILES = {
    "Cargo.toml": f'[package]\nname = "{NAME}"\nversion = "1.0.0"\nedition = "2021"\n',
    "src/lib.rs": 'pub fn origin() -> &\'static str { "the mirror" }\n',
}
APP = {
    "Cargo.toml": f'[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\n{NAME} = "1"\n',
    "src/main.rs": 'fn main() { println!("{}", cfg_if::origin()); }\n',
}


def crate() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"{NAME}-1.0.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return gzip.compress(out.getvalue())


@pytest.fixture
def mirror() -> Iterator[str]:
    """A sparse registry that holds one package. https://doc.rust-lang.org/cargo/reference/registry-index.html"""
    packed = crate()
    entry = {"name": NAME, "vers": "1.0.0", "deps": [], "features": {}, "yanked": False}
    entry["cksum"] = sha256(packed).hexdigest()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages = {
                "/config.json": json.dumps({"dl": f"{url}dl"}).encode(),
                f"/cf/g-/{NAME}": json.dumps(entry).encode() + b"\n",
                f"/dl/{NAME}/1.0.0/download": packed,
            }
            content = pages.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://localhost:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield url
        server.shutdown()


@pytest.fixture
def project(tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    rust = find_rust(tmp_path / "digests.json")
    home = tmp_path / "home"
    (home / ".cargo").mkdir(parents=True)
    (home / ".cargo/config.toml").write_text(
        '[source.crates-io]\nreplace-with = "company"\n'
        f'[source.company]\nregistry = "sparse+{mirror}"\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{rust.host_root}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("CARGO_HOME", raising=False)
    place = tmp_path / "project"
    for name, content in APP.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    return place


def test_what_came_from_a_mirror_is_found_by_every_later_command(project: Path) -> None:
    # Each is a process that knows nothing of what the one before has learned.
    for verb in ("resolve", "build", "test", "preview", "package", "validate"):
        ended = cloche(project, verb)
        assert ended.status == 0, (verb, ended.events[-1])
        if verb != "resolve":
            assert not ended.of("allowed"), f"{verb} reached for a network"
    program = project / "target/release/app"
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"the mirror\n"
