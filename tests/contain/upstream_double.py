"""Servers of the outside world, on a loopback address of their own: they keep every byte they are sent."""

import contextlib
import ipaddress
import os
import select
import socket
import threading
from typing import Self

# One for each process, so that two runs of the tests do not meet.
NUMBER = 127 << 24 | 66 << 16 | os.getpid() & 0x7FFF | 1
ADDRESS = str(ipaddress.IPv4Address(NUMBER))
HTTPS, HTTP, GIT = 443, 80, 9418
_ANSWERS = {
    HTTPS: b"",
    HTTP: b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved",
    GIT: b"",
}
_GREETING = {GIT: b"hello from the server\n"}


class Upstream:
    """Listens on three ports; `heard` has what came on each connection, by port."""

    def __init__(self) -> None:
        self._listeners = {}
        try:
            for port in _ANSWERS:
                listener = socket.create_server((ADDRESS, port), backlog=1024)
                self._listeners[listener] = port
        except OSError:
            for listener in self._listeners:
                listener.close()
            raise
        self._ending = socket.socketpair()
        self.heard: dict[int, list[bytearray]] = {port: [] for port in _ANSWERS}
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending[1].send(b"x")
        self._thread.join()
        for each in (*self._listeners, *self._ending):
            each.close()

    def everything(self) -> bytes:
        """Give all that was heard, of all connections."""
        return b"|".join(bytes(words) for port in self.heard.values() for words in port)

    def connections(self) -> int:
        return sum(len(words) for words in self.heard.values())

    def _serve(self) -> None:
        talks: dict[socket.socket, tuple[int, bytearray]] = {}
        while True:
            ready, _, _ = select.select([*self._listeners, *talks, self._ending[0]], [], [])
            for each in ready:
                if each is self._ending[0]:
                    for talk in talks:
                        talk.close()
                    return
                if each in self._listeners:
                    talk, _ = each.accept()
                    port = self._listeners[each]
                    words = bytearray()
                    self.heard[port].append(words)
                    talks[talk] = (port, words)
                    talk.sendall(_GREETING.get(port, b""))
                    continue
                self._hear(each, *talks[each], talks)

    @staticmethod
    def _hear(
        talk: socket.socket,
        port: int,
        words: bytearray,
        talks: dict[socket.socket, tuple[int, bytearray]],
    ) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = talk.recv(65_536)
            words += data
            if data:
                talk.sendall(_ANSWERS[port] or b"heard")
        if not data:
            del talks[talk]
            talk.close()
