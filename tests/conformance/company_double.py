"""A company's network on loopback: an authority of its own, a mirror that speaks TLS, a proxy that tunnels."""

import base64
import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from tests.conformance.npm_double import answer


class Authority:
    """A certificate authority that no machine trusts until it is told to. Needs the command openssl."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.certificate = place / "authority.pem"
        self._openssl(
            *("req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=Company Test Authority"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"),
            *("-keyout", "authority.key", "-out", "authority.pem"),
        )

    @staticmethod
    def is_possible() -> bool:
        return shutil.which("openssl") is not None

    def context_for(self, *names: str) -> ssl.SSLContext:
        """Give a server's side of TLS, with a certificate for `names`."""
        (self._place / "names").write_text(
            "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
        )
        self._openssl(
            *("req", "-nodes", "-subj", "/CN=mirror"),
            *("-keyout", "server.key", "-out", "server.csr"),
        )
        self._openssl(
            *("x509", "-req", "-in", "server.csr", "-days", "2", "-CAcreateserial"),
            *("-CA", "authority.pem", "-CAkey", "authority.key"),
            *("-extfile", "names", "-out", "server.pem"),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._place / "server.pem", self._place / "server.key")
        return context

    def _openssl(self, command: str, *arguments: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256") if command == "req" else ()
        subprocess.run(
            ["openssl", command, *key, *arguments],
            cwd=self._place,
            check=True,
            capture_output=True,
        )


class Served:
    """A server in a thread of its own, for the length of a block."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        server.daemon_threads = True
        self._server = server
        self.port = server.server_port
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Secured(ThreadingHTTPServer):
    """A server on loopback that speaks TLS."""

    def __init__(self, context: ssl.SSLContext, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._context, self._handler = context, handler

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the thread of the connection: a client that says nothing holds up nobody.
        request.settimeout(20)
        with self._context.wrap_socket(request, server_side=True) as secured:
            self._handler(secured, client_address, self)

    def handle_error(self, *_: Any) -> None:
        """A client that breaks off the handshake is what some tests are about."""


class Mirror(Served):
    """A registry over TLS. Packages of a scope are given to holders of `token` alone."""

    def __init__(self, context: ssl.SSLContext, token: str, name: str, port: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        """Path and Authorization of each request."""
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

            def do_GET(self) -> None:
                path = unquote(self.path)
                authorization = self.headers.get("authorization", "")
                mirror.asked.append((path, authorization))
                if path.startswith("/@") and authorization != f"Bearer {token}":
                    self._send(401, b"{}")
                    return
                content = answer(path, mirror.url.rstrip("/"))
                self._send(404 if content is None else 200, content or b"{}")

            def _send(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(Secured(context, Handler))
        self.url = f"https://{name}:{port or self.port}/"

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


class TunnelProxy(Served):
    """An HTTP proxy that opens tunnels to one place, whatever is asked for, for those who log in."""

    def __init__(self, to: int, user: str, password: str) -> None:
        self.asked: list[str] = []
        self.refused: list[str] = []
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                if self.headers.get("proxy-authorization") != f"Basic {credentials}":
                    proxy.refused.append(self.path)
                    self.send_error(407)
                    return
                proxy.asked.append(self.path)
                with socket.create_connection(("127.0.0.1", to)) as server:
                    self.send_response(200)
                    self.end_headers()
                    _join(self.connection, server)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.url = f"http://{user}:{password}@127.0.0.1:{self.port}"


def _join(one: socket.socket, two: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            for source in select.select((one, two), (), ())[0]:
                data = source.recv(65_536)
                if not data:
                    return
                (two if source is one else one).sendall(data)
