"""A NuGet feed of version 3 over TLS on loopback: a folder's packages, and answers that are lies where a test says so."""

import base64
import contextlib
import io
import json
import ssl
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.conformance.company_double import Secured, Served

INDEX = "/v3/index.json"
_FLAT = "/flat/"


class Answer:
    """What is said in place of the truth."""

    def __init__(
        self, status: int, content: bytes = b"", *, location: str = "", promised: int | None = None
    ) -> None:
        self.status, self.content, self.location = status, content, location
        self.promised = len(content) if promised is None else promised


class Feed(Served):
    """Serves packages by the flat container (PackageBaseAddress/3.0.0), to holders of `login` alone."""

    def __init__(
        self,
        context: ssl.SSLContext,
        login: tuple[str, str] | None = None,
        *,
        name: str = "localhost",
        port: int = 0,
    ) -> None:
        self.packages: dict[tuple[str, str], bytes | Path] = {}
        """By lower-case name and version."""
        self.instead: dict[str, Answer] = {}
        """By the beginning of a path."""
        self.asked: list[tuple[str, str]] = []
        """Path and Authorization of each request."""
        self.flat = ""
        """Another place for the packages, as the index gives it."""
        feed = self
        wanted = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}" if login else ""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

            def do_GET(self) -> None:
                path, authorization = unquote(self.path), self.headers.get("authorization", "")
                feed.asked.append((path, authorization))
                lies = [a for begin, a in feed.instead.items() if path.startswith(begin)]
                if wanted and authorization != wanted:
                    self._send(Answer(401))
                elif lies:
                    self._send(lies[0])
                else:
                    content = feed.answer(path)
                    self._send(Answer(404) if content is None else Answer(200, content))

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("content-length", str(answer.promised))
                if answer.location:
                    self.send_header("location", answer.location)
                if answer.status == 401:
                    self.send_header("www-authenticate", 'Basic realm="feed"')
                self.end_headers()
                self.wfile.write(answer.content)
                self.close_connection = answer.promised != len(answer.content)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(Secured(context, Handler))
        self.base = f"https://{name}:{port or self.port}"
        self.url = f"{self.base}{INDEX}"

    def add(self, place: Path, *patterns: str) -> None:
        """Serve the packages of a folder whose names fit."""
        for pattern in patterns:
            for file in place.glob(f"{pattern}.nupkg"):
                self.packages[_identity(file)] = file

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def answer(self, path: str) -> bytes | None:
        """Give what an honest feed has at `path`."""
        if path == INDEX:
            resource = {
                "@id": self.flat or f"{self.base}{_FLAT}",
                "@type": "PackageBaseAddress/3.0.0",
            }
            return json.dumps({"version": "3.0.0", "resources": [resource]}).encode()
        if not path.startswith(_FLAT):
            return None
        name, _, rest = path.removeprefix(_FLAT).partition("/")
        if rest == "index.json":
            versions = sorted(version for other, version in self.packages if other == name)
            return json.dumps({"versions": versions}).encode() if versions else None
        version, _, file = rest.partition("/")
        found = self.packages.get((name, version))
        if found is None or file not in (f"{name}.{version}.nupkg", f"{name}.nuspec"):
            return None
        content = found if isinstance(found, bytes) else found.read_bytes()
        return content if file.endswith(".nupkg") else _nuspec(content)


def nuget_config(url: str, *, more: str = "", login: tuple[str, str] | None = None) -> str:
    """Give a user's NuGet.Config that names one feed."""
    credentials = (
        f"<packageSourceCredentials><company><add key='Username' value='{login[0]}' />"
        f"<add key='ClearTextPassword' value='{login[1]}' /></company></packageSourceCredentials>"
        if login
        else ""
    )
    return (
        f"<configuration><packageSources><clear /><add key='company' value='{url}' protocolVersion='3' />"
        f"</packageSources>{credentials}{more}</configuration>"
    )


def package(
    name: str,
    version: str,
    files: Mapping[str, bytes | str] | None = None,
    *,
    nuspec: str = "",
    needs: str = "",
) -> bytes:
    """Make a package that is not signed. `nuspec` stands for the one that would be right."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            f"{name}.nuspec",
            nuspec
            or f"<package><metadata><id>{name}</id><version>{version}</version><authors>a</authors>"
            f"<description>d</description><dependencies>{needs}</dependencies></metadata></package>",
        )
        for path, content in (files or {}).items():
            archive.writestr(path, content)
    return out.getvalue()


def _identity(file: Path) -> tuple[str, str]:
    words = file.stem.split(".")
    first = next(number for number, word in enumerate(words) if word.isdigit())
    return ".".join(words[:first]).lower(), ".".join(words[first:])


def _nuspec(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".nuspec") and "/" not in n)
        return archive.read(name)
