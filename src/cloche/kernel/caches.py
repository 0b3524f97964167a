"""Shared caches: read-only to every step, filled only by what a fetch step brought and we re-hashed."""

import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cloche.kernel.errors import CacheUnusable, PackageRefused
from cloche.runtimes.toolchain import CacheEntry

_CHUNK = 1 << 20
_LEARNED = "learned"
Judge = Callable[[str], CacheEntry | None]


class Cache:
    """One cache of one tool, in the user's cache directory."""

    def __init__(self, home: Path, name: str) -> None:
        self._root = home / name
        self.content = self._root / "content"
        """What steps see, as the lower layer of an overlay."""
        self._keys = self._root / "keys"
        for directory in (self.content, self._keys):
            with _typed(directory):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keys(self) -> frozenset[str]:
        """Give the keys of the fetches whose results are here."""
        return frozenset(os.listdir(self._keys))

    def record(self, key: str) -> None:
        """Remember that everything `key` stands for is here."""
        if key.isalnum():
            (self._keys / key).touch(mode=0o600)

    def forget(self, key: str) -> None:
        """Drop `key`: what it stood for turned out to be incomplete."""
        if key.isalnum():
            with suppress(FileNotFoundError):
                (self._keys / key).unlink()

    def read_learned(self) -> bytes:
        """Give what `write_learned` kept. Raises OSError."""
        return (self._root / _LEARNED).read_bytes()

    def write_learned(self, content: bytes) -> None:
        """Keep what was learned of the registry, in place of what was."""
        temporary = self._root / f"{_LEARNED}-{os.getpid()}-{threading.get_ident()}"
        with _typed(temporary):
            temporary.write_bytes(content)
            temporary.replace(self._root / _LEARNED)

    def promote(self, upper: Path, judge: Judge) -> int:
        """Add the new files of a private layer; give how many.

        Each file whose name states a digest is hashed again here: a fetch step
        runs only tool code, but its bytes came over a network. Raises
        CacheUnusable, PackageRefused, having added nothing that failed.
        """
        added = 0
        with self._locked():
            for source, name in _regular_files(upper):
                entry = judge(name)
                if entry is not None and self._take(source, name, entry):
                    added += 1
        return added

    def check(self, judge: Judge) -> None:
        """Hash again what is here and has a digest. Raises CacheUnusable for what is something else.

        What is here is never replaced, so that what was right once stays right.
        """
        for source, name in _regular_files(self.content):
            entry = judge(name)
            if entry is None or not entry.algorithm:
                continue
            with os.fdopen(os.dup(source), "rb") as file:
                found = hashlib.file_digest(file, entry.algorithm).hexdigest()
            if found != entry.digest:
                why = f"{name} in it has the {entry.algorithm} {found}, and the lock asks for {entry.digest}"
                raise CacheUnusable(str(self._root), why)

    def _take(self, source: int, name: str, entry: CacheEntry) -> bool:
        target = self.content / name
        if entry.algorithm and target.exists():
            return False  # content under a digest never changes
        with _typed(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._root / f"incoming-{os.getpid()}"
        digest = hashlib.new(entry.algorithm or "sha256")
        with _typed(temporary), temporary.open("wb") as out:
            while block := os.read(source, _CHUNK):
                digest.update(block)
                out.write(block)
        if entry.algorithm and digest.hexdigest() != entry.digest:
            temporary.unlink()
            raise CacheUnusable(str(target), f"its {entry.algorithm} is {digest.hexdigest()}")
        if entry.fault is not None and (why := _fault_of(temporary, entry.fault)):
            temporary.unlink()
            raise PackageRefused(target.name, why)
        temporary.replace(target)
        if entry.also:
            self._share(target, self.content / entry.also)
        return True

    def _share(self, target: Path, other: Path) -> None:
        """Make two names of one file; the content of `other`, which has the same digest, is kept."""
        with _typed(other.parent):
            other.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A file system without hard links, or with no more for this file, keeps it under one name.
        with suppress(OSError):
            if not other.exists():
                other.hardlink_to(target)
                return
            temporary = self._root / f"shared-{os.getpid()}"
            temporary.unlink(missing_ok=True)
            temporary.hardlink_to(other)
            temporary.replace(target)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _typed(path: Path) -> Iterator[None]:
    """Make a refusal of the disk one of ours that names the place; nothing half-written stays."""
    try:
        yield
    except OSError as error:
        if path.is_file():
            path.unlink()
        raise CacheUnusable(str(path), error.strerror or str(error)) from error


def _fault_of(file: Path, judge: Callable[[BinaryIO], str]) -> str:
    with file.open("rb") as content:
        return judge(content)


def _regular_files(root: Path) -> Iterator[tuple[int, str]]:
    """Yield (descriptor, relative name) of each regular file, never through a link."""
    pending = [""]
    while pending:
        relative = pending.pop()
        with os.scandir(root / relative) as entries:
            for entry in entries:
                name = f"{relative}/{entry.name}" if relative else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                    continue
                if not entry.is_file(follow_symlinks=False):
                    continue
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(root / name, flags)
                try:
                    if stat.S_ISREG(os.fstat(descriptor).st_mode):
                        yield descriptor, name
                finally:
                    os.close(descriptor)
