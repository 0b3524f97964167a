"""`cloche preview` as a user starts it, and what a browser does with it, in plain sockets."""

import base64
import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

_SECONDS = 60.0


class Previewing:
    """A running preview; on leaving it is interrupted as by Ctrl-C."""

    def __init__(self, project: Path, environment: dict[str, str], *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cloche", "preview", "--json", *options, str(project)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self._fresh: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._fresh.put(json.loads(line))
        self._fresh.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.interrupt()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Give the next event of a kind; fails when the run ends without one."""
        while (event := self._fresh.get(timeout=_SECONDS)) is not None:
            self.events.append(event)
            if event["type"] == kind:
                return event
        raise AssertionError(f"no {kind} in {self.events}")

    def port(self) -> int:
        url = self.wait_for("preview-ready")["url"]
        assert url.startswith("http://127.0.0.1:")
        return int(url.rpartition(":")[2].strip("/"))

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self.status()

    def status(self) -> int:
        return self._process.wait(_SECONDS)

    def descendants(self) -> dict[int, list[str]]:
        """Give each process below the command, with the control groups it is in."""
        family = family_of(self._process.pid)
        return {pid: Path(f"/proc/{pid}/cgroup").read_text().splitlines() for pid in family}


def family_of(ancestor: int) -> set[int]:
    """Give each process below one."""
    parents = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            stat = Path(f"/proc/{int(name)}/stat").read_text()
            parents[int(name)] = int(stat.rpartition(")")[2].split()[1])
    family = {ancestor}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return family - {ancestor}


def ask(port: int, *headers: str, path: str = "/", again: str = "") -> bytes:
    """Send a request, and perhaps a second one on the same connection; give all that comes back."""
    lines = [f"GET {path} HTTP/1.1", *(headers or (f"Host: 127.0.0.1:{port}",)), "", ""]
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall("\r\n".join(lines).encode() + again.encode())
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while block := connection.recv(65_536):
                received += block
    return received


class WebSocket:
    """The text messages of a WebSocket's server, one by one. RFC 6455."""

    def __init__(self, port: int, path: str, protocol: str, *headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            *(headers or (f"Host: 127.0.0.1:{port}", f"Origin: http://127.0.0.1:{port}")),
            *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
            *(f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Protocol: {protocol}", "", ""),
        ]
        self._socket.sendall("\r\n".join(lines).encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def message(self) -> dict[str, Any]:
        size = self._file.read(2)[1] & 127
        if size == 126:
            size = int.from_bytes(self._file.read(2), "big")
        return dict(json.loads(self._file.read(size)))
