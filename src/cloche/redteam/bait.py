"""What the attacks are after, laid out on this machine for as long as they run, and taken away again."""

import contextlib
import ctypes
import os
import secrets
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cloche.redteam.objects import laid_objects, surroundings
from cloche_redteam import libc, others, places
from cloche_redteam.attack import Unable

VARIABLE = "CLOCHE_BAIT"
# Numbers that nothing else is likely to have: a file to read, and what else a launcher might forget.
DESCRIPTOR, DIRECTORY, WRITABLE, SOCKET, TERMINAL = range(57, 62)
_AT_FDCWD = -100


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
        words: dict[str, str] = {
            "secret_file": str(secret),
            "secret_text": text,
            "writable_directory": str(open_place),
            "host_pid": str(os.getpid()),
            "host_uid": str(os.geteuid()),
            "host_name": socket.gethostname(),
            "variable": VARIABLE,
            "descriptor": str(DESCRIPTOR),
            "namespaces": ",".join(_namespaces()),
            "host_started": others.started(os.getpid()),
            "machine_id": _machine_id(),
            "disk": places.disk_below(str(secret)),
            "secret_handle": _handle(secret),
            "places": places.found(),
            "home_file": stack.enter_context(_at_home(text)),
            **stack.enter_context(_sockets(directory, text)),
            **stack.enter_context(_forgotten(directory, text)),
            **stack.enter_context(laid_objects(directory, text)),
            **surroundings(),
        }
        stack.enter_context(_inherited(secret, text))
        words |= stack.enter_context(_bystander(text))
        yield Bait(words=words, directory=directory)


def _namespaces() -> list[str]:
    kinds = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]


def _machine_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    return ""


def _handle(file: Path) -> str:
    """Give what open_by_handle_at(2) takes for `file`, or nothing where there is no such thing."""
    # struct file_handle: room, kind, and the handle of at most MAX_HANDLE_SZ
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 8 + 128)
    mount, name = ctypes.c_int(), ctypes.c_char_p(os.fsencode(file))
    with contextlib.suppress(OSError, Unable):
        call = libc.number(303, 264)
        libc.syscall(call, _AT_FDCWD, name, handle, ctypes.byref(mount), 0)
        return handle.raw[: 8 + struct.unpack("Ii", handle.raw[:8])[0]].hex()
    return ""


@contextmanager
def _at_home(text: str) -> Iterator[str]:
    """Leave a file in the user's home; gives its path, or nothing where the home cannot be written."""
    path = Path(os.environ.get("HOME", "/nonexistent")) / f".cloche-bait-{secrets.token_hex(4)}"
    try:
        path.write_text(f"{text}\n")
        path.chmod(0o644)
    except OSError:
        yield ""
        return
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _forgotten(directory: Path, text: str) -> Iterator[dict[str, str]]:
    """Leave a directory, a file to write, a socket and a terminal open for whoever is started."""
    writable = directory / "writable"
    writable.write_text("")
    writable.chmod(0o666)
    ours, theirs = socket.socketpair()
    master, slave = os.openpty()
    ours.sendall(text.encode())
    opened = {
        DIRECTORY: os.open(directory, os.O_RDONLY),
        WRITABLE: os.open(writable, os.O_RDWR),
        SOCKET: theirs.detach(),
        TERMINAL: slave,
    }
    for number, descriptor in opened.items():
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)
    path = os.ttyname(TERMINAL)
    os.fchmod(TERMINAL, 0o666)
    try:
        yield {
            "directory_descriptor": str(DIRECTORY),
            "writable_descriptor": str(WRITABLE),
            "socket_descriptor": str(SOCKET),
            "terminal_descriptor": str(TERMINAL),
            "terminal": path,
            "terminal_file_system": str(os.fstat(TERMINAL).st_dev),
        }
    finally:
        for number in opened:
            os.close(number)
        os.close(master)
        ours.close()


@contextmanager
def _bystander(text: str) -> Iterator[dict[str, str]]:
    """Start a process that does nothing, with the secret among its arguments, variables and files."""
    process = subprocess.Popen(
        ("/bin/sh", "-c", "read line", text),
        stdin=subprocess.PIPE,
        env={VARIABLE: text},
        pass_fds=(DESCRIPTOR,),
    )
    try:
        yield {"bystander": str(process.pid), "bystander_started": others.started(process.pid)}
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _inherited(secret: Path, text: str) -> Iterator[None]:
    """Leave a descriptor and variables that a careless launcher would hand on."""
    opened = os.open(secret, os.O_RDONLY)
    try:
        os.dup2(opened, DESCRIPTOR, inheritable=True)
    finally:
        os.close(opened)
    # Java's and an old GnuPG's variables: nothing that a contender is made of reads them.
    wanted = {VARIABLE: text, "CLASSPATH": str(secret.parent), "GPG_AGENT_INFO": str(secret.parent)}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
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
