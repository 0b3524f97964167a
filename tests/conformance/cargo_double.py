"""A registry of crates on loopback, a user whose configuration names it, and `cloche` as this user starts it."""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from cloche.kernel.errors import NoToolchain
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.rust.provider import RustProvider
from cloche.runtimes.toolchain import Toolchain

CALLED = "/called"
"""What a program that should not have run asks the registry for."""
LACKS = ("no-toolchain", "cannot-confine")


@cache
def crate(name: str, version: str, files: tuple[tuple[str, str], ...]) -> bytes:
    """Give the archive of one package."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, content in files:
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return out.getvalue()


def plain(name: str, says: str = "honest") -> bytes:
    """Give a library whose one function says `says`."""
    manifest = f'[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2021"\n'
    source = f'pub fn say() -> &\'static str {{ "{says}" }}\n'
    return crate(name, "1.0.0", (("Cargo.toml", manifest), ("src/lib.rs", source)))


class Double:
    """A sparse registry. Its packages are `crates`, by name; all have version 1.0.0."""

    def __init__(self, crates: Mapping[str, bytes]) -> None:
        self.crates = dict(crates)
        self.instead: dict[str, bytes] = {}
        """Given in place of the package of this name, while the index tells of the right one."""
        self.sums: dict[str, str] = {}
        """Told by the index in place of the package's own checksum."""
        self.token = ""
        """What those who ask have to say; "" for nothing."""
        self.asked: list[str] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

            def do_GET(self) -> None:
                double.asked.append(self.path)
                content = double._answer(self.path)
                if double.token and self.headers.get("authorization") != double.token:
                    self.send_response(401)
                    content = b""
                else:
                    self.send_response(404 if content is None else 200)
                self.send_header("content-length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None:
                pass

        # Two, since real registries have the index and the packages at different hosts.
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.port, self._other = (server.server_port for server in self._servers)
        self.url = f"http://localhost:{self.port}"
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,)) for server in self._servers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()

    def downloads(self) -> list[str]:
        """Give the names of the packages that were downloaded."""
        return [path.split("/")[2] for path in self.asked if path.startswith("/crates/")]

    def sum_of(self, name: str) -> str:
        """Give the checksum that the index tells of a package."""
        return self.sums.get(name) or hashlib.sha256(self.crates[name]).hexdigest()

    def _answer(self, path: str) -> bytes | None:
        if path == "/index/config.json":
            told = {"dl": f"http://localhost:{self._other}/crates"}
            return json.dumps({**told, "auth-required": bool(self.token)}).encode()
        name = path.split("/")[2] if path.startswith("/crates/") else path.rpartition("/")[2]
        if name not in self.crates:
            return None
        if path.startswith("/crates/"):
            return self.instead.get(name, self.crates[name])
        entry = {"name": name, "vers": "1.0.0", "deps": [], "features": {}, "yanked": False}
        return json.dumps({**entry, "cksum": self.sum_of(name)}).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What one run of the command said."""

    status: int
    events: tuple[dict[str, Any], ...]
    text: str

    @property
    def code(self) -> str:
        """Why it failed; "" when it did not."""
        return str(self.events[-1].get("code") or "")

    def found(self) -> set[str]:
        """Give the codes of what tools found."""
        return {e["diagnostic"]["code"] for e in self.events if e["type"] == "found"}


class User:
    """A home with a configuration of cargo, and projects beside it."""

    def __init__(self, place: Path, double: Double, tool: Toolchain) -> None:
        self.place, self.home, self.tool = place, place / "home", tool
        self.environment: dict[str, str] = {}
        self.configuration = (
            '[source.crates-io]\nreplace-with = "double"\n'
            f'[source.double]\nregistry = "sparse+{double.url}/index/"\n'
        )
        self.credentials = ""
        self.home.mkdir()

    @property
    def cache(self) -> Path:
        """Where the shared cache of cargo is."""
        return self.home / ".cache/cloche/cargo/content"

    def variables(self) -> dict[str, str]:
        """Write the configuration; give the environment."""
        self.write_configuration(self.home / ".cargo")
        return {
            "PATH": f"{self.tool.host_root}/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "CARGO_NET_RETRY": "0",
            **self.environment,
        }

    def write_configuration(self, home: Path) -> None:
        """Write what a home of cargo's holds of the user's."""
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(self.configuration)
        (home / "credentials.toml").write_text(self.credentials)

    def project(self, files: Mapping[str, str], name: str = "project") -> Path:
        """Write a project."""
        root = self.place / name
        for path, content in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        return root

    def cloche(self, verb: str, project: Path, *options: str) -> Ended:
        """Run a verb; skip when the machine cannot run any."""
        log = () if verb == "commit" else ("--log",)
        done = subprocess.run(
            [sys.executable, "-m", "cloche", verb, "--json", *log, *options, str(project)],
            env=self.variables(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.stdout, done.stderr
        events = tuple(json.loads(line) for line in done.stdout.splitlines())
        ended = Ended(status=done.returncode, events=events, text=done.stdout + done.stderr)
        if ended.code in LACKS:
            pytest.skip(f"{ended.code}: {done.stderr.strip()}")
        return ended

    def cargo(self, project: Path, *words: str, program: str = "") -> str:
        """Do what everybody does: cargo in the project itself. Give what it said."""
        home = self.place / "plain"
        self.write_configuration(home)
        variables = self.variables()
        done = subprocess.run(
            [program or f"{self.tool.host_root}/bin/cargo", *words],
            cwd=project,
            env={"CARGO_HOME": str(home), **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.stdout + done.stderr


def find_cargo(memory: Path) -> Toolchain:
    """Find the user's Rust; skip the test when there is none."""
    try:
        return find_toolchains(RustProvider.toolchains, os.environ, memory)["rust"]
    except NoToolchain as missing:
        pytest.skip(f"no cargo to fetch with: {missing}")
