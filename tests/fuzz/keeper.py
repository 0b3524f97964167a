"""Run as whoever starts the sandbox: lays the canary out, holds it, and takes it away when its input ends.

Given to Python as text, since that user may read no file of ours. Prints where
everything is as a line of JSON; what the machine lacks is "" or 0.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from cloche_redteam import libc, shared
from cloche_redteam.attack import Unable

TEXT = b"canary"
_USER_KEYRING, _KEYCTL_SETPERM, _KEYCTL_UNLINK, _KEYCTL_SET_TIMEOUT = -4, 5, 9, 15


def tree(place: Path) -> None:
    """Files of every kind, and the project of which the sandbox sees a copy."""
    (place / "stage/base/directory").mkdir(parents=True)
    for name in (
        "secret",
        "open",
        "stage/base/canary",
        "stage/base/setuid",
        "stage/base/directory/a",
    ):
        (place / name).write_bytes(TEXT)
    (place / "place").mkdir()
    (place / "place").chmod(0o777)
    (place / "open").chmod(0o666)
    (place / "secret").chmod(0o600)
    (place / "stage/base/setuid").chmod(0o4755)
    (place / "stage/base/link").symlink_to("directory")
    os.mkfifo(place / "pipe")
    os.link(place / "open", place / "other-name")
    with contextlib.suppress(OSError):
        os.setxattr(place / "open", "user.canary", TEXT)
    os.utime(place / "open", (1, 1))


def key(name: str) -> int:
    """A key in the user's keyring, which no session ends."""
    with contextlib.suppress(OSError, Unable):
        call = libc.number(248, 217)
        made = libc.syscall(call, b"user\0", f"{name}\0".encode(), TEXT, len(TEXT), _USER_KEYRING)
        libc.syscall(libc.number(250, 219), _KEYCTL_SETPERM, made, 0x3F3F3F3F)
        libc.syscall(
            libc.number(250, 219), _KEYCTL_SET_TIMEOUT, made, 86_400
        )  # whatever becomes of us
        return made
    return 0


def queue(name: str) -> str:
    """A POSIX queue with a message."""
    with contextlib.suppress(OSError, Unable):
        opened = shared.open_named_queue(name, os.O_RDWR | os.O_CREAT)
        shared.put_named(opened, TEXT)
        return name
    return ""


def main() -> None:
    name = f"cloche-canary-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="cloche-canary-", ignore_cleanup_errors=True) as place:
        os.chmod(place, 0o755)
        tree(Path(place))
        locked = [os.open(f"{place}/{each}", os.O_RDWR) for each in ("secret", "open")]
        fcntl.lockf(locked[0], fcntl.LOCK_EX)
        fcntl.flock(locked[1], fcntl.LOCK_EX)
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0{name}")
        abstract.listen(1)
        number = 0x0C1C_0000 + secrets.randbelow(0xFFFF)
        segment = shared.make_memory(number, 4096)
        shared.fill_memory(segment, TEXT)
        semaphore = shared.make_semaphore(number, 7)
        messages = shared.make_queue(number)
        shared.put(messages, TEXT)
        laid = {
            "pid": os.getpid(),
            "uid": os.geteuid(),
            "tree": place,
            "abstract": name,
            "ipc_key": number,
            "segment": segment,
            "semaphore": semaphore,
            "messages": messages,
            "queue": queue(name),
            "key": key(name),
        }
        try:
            print(json.dumps(laid), flush=True)
            sys.stdin.read()
        finally:
            shared.remove_memory(segment)
            shared.remove_semaphore(semaphore)
            shared.remove_queue(messages)
            if laid["queue"]:
                shared.remove_named_queue(name)
            if laid["key"]:
                libc.syscall(libc.number(250, 219), _KEYCTL_UNLINK, laid["key"], _USER_KEYRING)
            shutil.rmtree(f"{place}/stage/tx", ignore_errors=True)


if __name__ == "__main__":
    main()
