"""Putting one file of the project into a running sandbox, through the sandbox's own view."""

import os

from cloche_launch import calls

_ROOT = "/project"
_CHUNK = 1 << 20


def put(path: str, descriptors: list[int]) -> str:
    """Write `path` below the project from a descriptor, or remove it without one; "" or the error.

    In place, so that a watcher of the file or its folder sees it. Through no
    link: what runs inside can put one anywhere, and this process is trusted.
    """
    try:
        root = os.open(_ROOT, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if descriptors:
                _write(root, path, descriptors[0])
            else:
                _remove(root, path)
        finally:
            os.close(root)
    except OSError as error:
        return str(error)
    return ""


def _write(root: int, path: str, source: int) -> None:
    _make_parents(root, path)
    target = calls.open_beneath(root, path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o644)
    try:
        while block := os.read(source, _CHUNK):
            os.write(target, block)
        # Cut only now: a watcher that reads early sees old content, not an empty file.
        os.ftruncate(target, os.lseek(target, 0, os.SEEK_CUR))
    finally:
        os.close(target)


def _make_parents(root: int, path: str) -> None:
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        above, name = "/".join(parts[: count - 1]) or ".", parts[count - 1]
        directory = calls.open_beneath(root, above, os.O_PATH | os.O_DIRECTORY)
        try:
            os.mkdir(name, 0o755, dir_fd=directory)
        except FileExistsError:
            pass
        finally:
            os.close(directory)


def _remove(root: int, path: str) -> None:
    above, _, name = path.rpartition("/")
    directory = calls.open_beneath(root, above or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)
