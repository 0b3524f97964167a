"""A registry and a proxy in one, on loopback: it serves two packages and remembers who was asked for."""

import base64
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

REGISTRY = "registry.example.org"
_TOUCH = "node -e \"require('fs').writeFileSync('marker','')\""
_SCRIPTS = dict.fromkeys(("preinstall", "install", "postinstall", "prepare"), _TOUCH)
PACKAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "@scope/plain": {},
    "scripted": {"scripts": _SCRIPTS},
}


class Double:
    """Serves as proxy for every host; only REGISTRY has an answer."""

    def __init__(self, name: str = "") -> None:
        self.asked: list[str] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                double.asked.append(self.path)
                parts = urlsplit(self.path)
                content = None
                # Asked as a proxy, or by its own name as the registry itself.
                if (parts.hostname or name) in (REGISTRY, name):
                    content = answer(unquote(parts.path), double.base)
                self.send_response(200 if content is not None else 404)
                self.send_header("content-length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def do_CONNECT(self) -> None:
                double.asked.append(self.path)
                self.send_error(403)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.base = f"http://{name}:{self._server.server_port}" if name else f"http://{REGISTRY}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hosts(self) -> set[str]:
        """Give every host that was asked for."""
        return {urlsplit(a).hostname or a.partition(":")[0] for a in self.asked}


def answer(path: str, base: str) -> bytes | None:
    """Give what a registry at `base` has at `path`."""
    name, separator, _ = path.strip("/").partition("/-/")
    if name not in PACKAGES:
        return None
    archive = _archive(name)
    if separator:
        return archive
    manifest = _manifest(name)
    manifest["dist"] = {"tarball": tarball(name, base), "integrity": integrity(name)}
    if "scripts" in manifest:
        manifest["hasInstallScript"] = True
    packument = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": manifest}}
    return json.dumps(packument).encode()


def tarball(name: str, base: str) -> str:
    """Give the address of a package's archive, as registries have them."""
    return f"{base}/{name}/-/{name.rpartition('/')[2]}-1.0.0.tgz"


def integrity(name: str) -> str:
    """Give the digest of a package's archive, as locks have it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(_archive(name)).digest()).decode()


def _manifest(name: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0.0", **PACKAGES[name]}


def _archive(name: str) -> bytes:
    out = io.BytesIO()
    content = json.dumps(_manifest(name)).encode()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        header = tarfile.TarInfo("package/package.json")
        header.size = len(content)
        archive.addfile(header, io.BytesIO(content))
    # The time in the gzip header would make each answer another archive.
    data = bytearray(out.getvalue())
    data[4:8] = bytes(4)
    return bytes(data)
