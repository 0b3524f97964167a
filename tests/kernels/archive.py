"""Writes what the kernel unpacks as its first file system. Documentation/driver-api/early-userspace/buffer-format."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

_TRAILER = "TRAILER!!!"


def write_archive(tree: Path, file: BinaryIO) -> None:
    """Append everything below `tree`, owned by root, as one "newc" cpio archive.

    A kernel unpacks any number of them, one after the other.
    """
    paths = sorted(tree.rglob("*"))
    for number, path in enumerate(paths, start=1):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path).encode()
        else:
            content = path.read_bytes() if path.is_file() else b""
        _entry(file, number, status.st_mode, path.relative_to(tree).as_posix(), content)
    _entry(file, 0, 0, _TRAILER, b"")


def _entry(file: BinaryIO, number: int, mode: int, name: str, content: bytes) -> None:
    # magic; inode, mode, uid, gid, links, mtime, size, four device numbers, length of name, check
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    file.writelines(part + bytes(-len(part) % 4) for part in (head, content))
