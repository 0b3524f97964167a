"""Bait without a path: shared memory, queues, keys; and what the host's network looks like."""

import contextlib
import fcntl
import os
import resource
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cloche_redteam import shared
from cloche_redteam.attack import Unable
from cloche_redteam.netlink import leaves_by

_OUTSIDE = {"4": "8.8.8.8", "6": "2001:4860:4860::8888"}  # asked for a route, never spoken to
_USED = "/usr/bin/env"  # of the system, shown by every contender, and run by no attack
_TUNNEL = "/dev/net/tun"
_SERVICES = (
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/journal/stdout",
    "/dev/log",
    "/tmp/.X11-unix/X0",  # noqa: S108 - where X11 has it
)


@contextmanager
def laid_objects(directory: Path, text: str) -> Iterator[dict[str, str]]:
    """Lay what this machine can; what it cannot is an empty word, and an attack says so."""
    key = secrets.randbelow(1 << 30) + 1
    number = secrets.randbelow(30_000) + 1
    name = f"cloche-bait-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        yield {
            "shm_key": _lay(stack, lambda s: _memory(s, key, text)),
            "sem_key": _lay(stack, lambda s: _semaphore(s, key, number)),
            "sem_value": str(number),
            "msg_key": _lay(stack, lambda s: _queue(s, key, text)),
            "mq_name": _lay(stack, lambda s: _named_queue(s, name, text)),
            "shm_file": _lay(stack, lambda s: _shm_file(s, f"/dev/shm/{name}", text)),  # noqa: S108
            "pipe": _lay(stack, lambda s: _pipe(s, directory / "pipe", text)),
            "key_number": _lay(stack, lambda s: _key(s, name, text)),
            "key_name": name,
            "used_file": _lay(stack, _used_file),
        }


def surroundings() -> Mapping[str, str]:
    """Give what the host has of network, services and rights: to know it again inside."""
    ways = {version: _way(address) for version, address in _OUTSIDE.items()}
    interface, address = ways["4"]
    return {
        "routes": ",".join(version for version, way in ways.items() if way[0]),
        "interface": interface,
        "hardware": _hardware(interface),
        "host_address": address,
        "host_address6": ways["6"][1],
        "tunnel": _TUNNEL if os.path.exists(_TUNNEL) else "",
        "services": "\n".join(filter(_answers, _SERVICES)),
        "rights": _rights(),
        "open_files": str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
    }


def _rights() -> str:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith("CapEff"))


def _lay(stack: ExitStack, make: Callable[[ExitStack], str]) -> str:
    with contextlib.suppress(OSError, Unable):
        return make(stack)
    return ""


def _memory(stack: ExitStack, key: int, text: str) -> str:
    made = shared.make_memory(key, 4096)
    stack.callback(shared.remove_memory, made)
    shared.fill_memory(made, text.encode())
    return str(key)


def _semaphore(stack: ExitStack, key: int, value: int) -> str:
    stack.callback(shared.remove_semaphore, shared.make_semaphore(key, value))
    return str(key)


def _queue(stack: ExitStack, key: int, text: str) -> str:
    made = shared.make_queue(key)
    stack.callback(shared.remove_queue, made)
    shared.put(made, text.encode())
    return str(key)


def _named_queue(stack: ExitStack, name: str, text: str) -> str:
    made = shared.open_named_queue(name, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    stack.callback(os.close, made)
    stack.callback(shared.remove_named_queue, name)
    os.fchmod(made, 0o666)
    shared.put_named(made, text.encode())
    return name


def _shm_file(stack: ExitStack, path: str, text: str) -> str:
    made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    stack.callback(os.close, made)
    stack.callback(os.unlink, path)
    os.fchmod(made, 0o666)
    os.write(made, text.encode())
    return path


def _pipe(stack: ExitStack, path: Path, text: str) -> str:
    os.mkfifo(path)
    path.chmod(0o666)
    made = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    stack.callback(os.close, made)
    os.write(made, text.encode())
    return str(path)


def _key(stack: ExitStack, name: str, text: str) -> str:
    made = shared.make_key(name, text.encode())
    stack.callback(shared.remove_key, made)
    return str(made)


def _used_file(stack: ExitStack) -> str:
    """Lock a program of the system, and open it again and again."""
    locked = os.open(_USED, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, locked)
    fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
    enough = threading.Event()
    stack.callback(enough.set)
    threading.Thread(target=_open_often, args=(enough,), daemon=True).start()
    return _USED


def _open_often(enough: threading.Event) -> None:
    while not enough.wait(0.05):
        os.close(os.open(_USED, os.O_RDONLY | os.O_CLOEXEC))


def _way(address: str) -> tuple[str, str]:
    """Give (interface, own address) towards an address; a connect() of UDP sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as made:
        interface = leaves_by(address)
        made.connect((address, 53))
        return interface, str(made.getsockname()[0])
    return "", ""


def _hardware(interface: str) -> str:
    with contextlib.suppress(OSError), open(f"/sys/class/net/{interface}/address") as file:
        return file.read().strip()
    return ""


def _answers(path: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as made:
        made.settimeout(1)
        made.connect(path)
        return True
    return False
