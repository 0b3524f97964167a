"""The file systems a proof runs on: the disk that is there, a tmpfs, or a small image on a loop device."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SIZES = {"ext4": 48, "btrfs": 128, "xfs": 304}  # MiB; the least that mkfs.btrfs and mkfs.xfs take
_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}


class Lacking(Exception):
    """This machine cannot do it; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """A mounted file system, and the file it lies in."""

    name: str
    root: Path
    image: Path | None = None


def run(*command: str) -> None:
    """Run a program of the system. Raises Lacking with what it said."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Lacking(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Lacking(f"{command[0]}: {(error.stderr or error.stdout).strip()[-200:]}") from error


def unmount(place: Path) -> None:
    """Unmount, waiting for a namespace that is still being taken down."""
    for _ in range(100):
        if subprocess.run(("umount", str(place)), capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    run("umount", str(place))


@contextlib.contextmanager
def mounted(kind: str, *, mebibytes: int = 0) -> Iterator[Medium]:
    """Give a new file system of `kind`, gone afterwards. Raises Lacking."""
    if os.geteuid() != 0:
        raise Lacking("mounting needs root")
    with tempfile.TemporaryDirectory(prefix="cloche-proof-", dir=_memory()) as name:
        top = Path(name)
        root, image = top / "root", None
        root.mkdir()
        size = mebibytes or SIZES.get(kind, 64)
        if kind == "tmpfs":
            run("mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(root))
        else:
            image = top / "image"
            with image.open("wb") as file:
                file.truncate(size << 20)
            run(*_MAKE[kind], str(image))
            run("mount", "-o", "loop", str(image), str(root))
        try:
            yield Medium(name=kind, root=root, image=image)
        finally:
            if os.path.ismount(root):
                unmount(root)


def _memory() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None
