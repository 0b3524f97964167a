"""What the attacks are after, laid out on this machine for as long as they run, and taken away again."""

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cloche.redteam.objects import laid_objects, surroundings

VARIABLE = "CLOCHE_BAIT"
DESCRIPTOR = 57  # a number that nothing else is likely to have


@dataclass(frozen=True, slots=True, kw_only=True)
class Bait:
    """Where everything is, as the attacks are told it."""

    words: Mapping[str, str]
    """Name to value: the one argument of every attack."""
    directory: Path
    """Where the files of it lie, outside of any project."""


@contextmanager
def laid_out() -> Iterator[Bait]:
    """Lay the bait for a block. Everyone may read the files: only a sandbox is to keep them shut."""
    text = secrets.token_hex(16)
    with TemporaryDirectory(prefix="cloche-bait-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        secret = directory / "secret"
        secret.write_text(f"{text}\n")
        secret.chmod(0o644)
        open_place = directory / "open"
        open_place.mkdir()
        open_place.chmod(0o777)
        words = {
            "secret_file": str(secret),
            "secret_text": text,
            "writable_directory": str(open_place),
            "host_pid": str(os.getpid()),
            "host_uid": str(os.geteuid()),
            "host_name": socket.gethostname(),
            "variable": VARIABLE,
            "descriptor": str(DESCRIPTOR),
            "namespaces": ",".join(_namespaces()),
            **stack.enter_context(_sockets(directory, text)),
            **stack.enter_context(laid_objects(directory, text)),
            **surroundings(),
        }
        stack.enter_context(_inherited(secret, text))
        yield Bait(words=words, directory=directory)


def _namespaces() -> list[str]:
    kinds = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]


@contextmanager
def _inherited(secret: Path, text: str) -> Iterator[None]:
    """Leave a descriptor and a variable that a careless launcher would hand on."""
    opened = os.open(secret, os.O_RDONLY)
    try:
        os.dup2(opened, DESCRIPTOR, inheritable=True)
    finally:
        os.close(opened)
    os.environ[VARIABLE] = text
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        os.close(DESCRIPTOR)


@contextmanager
def _sockets(directory: Path, text: str) -> Iterator[dict[str, str]]:
    """Listen where a sandbox may not reach, and greet whoever comes with the secret."""
    stream = socket.SOCK_STREAM
    abstract = f"cloche-bait-{secrets.token_hex(4)}"
    path = directory / "socket"
    listeners = {
        "tcp_port": _listener(socket.AF_INET, stream, ("127.0.0.1", 0)),
        "unix_socket": _listener(socket.AF_UNIX, stream, str(path)),
        "abstract_socket": _listener(socket.AF_UNIX, stream, f"\0{abstract}"),
        "udp_port": _listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "any_port": _listener(socket.AF_INET, stream, ("0.0.0.0", 0)),  # noqa: S104 - own addresses
        "giving_socket": _listener(socket.AF_UNIX, stream, f"\0{abstract}-giving"),
    }
    with contextlib.suppress(OSError):  # a machine may have no IPv6
        listeners["tcp6_port"] = _listener(socket.AF_INET6, stream, ("::1", 0))
    path.chmod(0o777)
    ports = {n: str(s.getsockname()[1]) for n, s in listeners.items() if n.endswith("_port")}
    for name, listener in listeners.items():
        secret = directory / "secret" if name == "giving_socket" else None
        arguments = (listener, text.encode(), secret)
        threading.Thread(target=_greet, args=arguments, daemon=True).start()
    try:
        yield {
            "tcp6_port": "",
            **ports,
            "unix_socket": str(path),
            "abstract_socket": abstract,
            "giving_socket": f"{abstract}-giving",
        }
    finally:
        for listener in listeners.values():
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            listener.close()


def _listener(family: int, kind: int, address: str | tuple[str, int]) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen(8)
    return made


def _greet(listener: socket.socket, text: bytes, secret: Path | None) -> None:
    with contextlib.suppress(OSError):
        while True:
            if listener.type == socket.SOCK_DGRAM:
                data, caller = listener.recvfrom(64)
                if not data:
                    return
                listener.sendto(text, caller)
                continue
            with listener.accept()[0] as caller, contextlib.suppress(OSError):
                if secret is not None:
                    with secret.open() as file:
                        socket.send_fds(caller, [b"here"], [file.fileno()])
                    continue
                caller.sendall(text)
