"""Reading and removing the files and directories of control groups."""

import contextlib
import os
import signal
import time
from pathlib import Path


def write_value(path: Path, value: int | str) -> None:
    """Write one value, in one call: what the kernel takes whole or refuses. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def read_number(path: Path) -> int | None:
    """Give the number a file holds, or None when it is absent or says "max"."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return int(os.read(descriptor, 64))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def counter(path: Path, name: str) -> int:
    """Give one counter of a file of "name value" lines; 0 when it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        lines = os.read(descriptor, 4096).decode("ascii", "replace").splitlines()
    except OSError:
        return 0
    finally:
        os.close(descriptor)
    pairs = (line.partition(" ") for line in lines)
    return next((int(value) for key, _, value in pairs if key == name), 0)


def kill_members(path: Path) -> int:
    """Kill every process in a group once; give how many there were."""
    try:
        pids = [int(line) for line in (path / "cgroup.procs").read_text().split()]
    except OSError:
        return 0
    # Version 2 writes 0 for a process of another pid namespace; to kill(2), 0 is all of our own group.
    pids = [pid for pid in pids if pid > 0]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def kill_all(path: Path) -> None:
    """Kill until the group is empty, since a fork may race; for half a second at most."""
    for _ in range(100):
        if not kill_members(path):
            return
        time.sleep(0.005)


def remove_directory(path: Path) -> None:
    """Remove a group; a dying process may hold it for a moment. Gives up after two seconds."""
    for _ in range(400):
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.005)
        else:
            return
