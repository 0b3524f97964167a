"""What a finished step leaves: read as hostile, linted, then into the transaction or a cache."""

import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from cloche.kernel.errors import OutputRefused
from cloche.kernel.places import Places
from cloche.kernel.session import Session
from cloche.model.limits import size_in_words
from cloche.model.paths import JailPath
from cloche.model.step import Output, Step
from cloche.runtimes.toolchain import CacheEntry

_LARGEST_LINTED = 64 << 20
_LARGEST = 1 << 30


def take_outputs(step: Step, places: Places, session: Session) -> None:
    """Take every output of `step`. Raises OutputRefused, LintRefused, CacheUnusable, PackageRefused."""
    for number, output in enumerate(step.outputs):
        if output.promote:
            _promote(output, places, session)
        if output.commit_to:
            _take(step, output, places, session, copy=f"taken-{session.steps_run}-{number}")
    if step.skip_key:
        for output in step.outputs:
            if output.promote:
                session.machine.caches[output.promote].record(step.skip_key)


def _promote(output: Output, places: Places, session: Session) -> None:
    cache = session.machine.caches[output.promote]

    def judge(path: str) -> CacheEntry | None:
        return session.provider.cached(output.promote, path, output.digests)

    cache.promote(places.uppers[output.promote], judge)
    if output.checked_key:
        cache.check(judge)
        cache.record(output.checked_key)


def _take(step: Step, output: Output, places: Places, session: Session, *, copy: str) -> None:
    source = _on_host(step, output, places)
    status = _status(source)
    if status is None:
        if output.required:
            raise OutputRefused(step.id, output.path, "it is not there")
        return
    destination = JailPath.parse(output.commit_to)
    if stat.S_ISDIR(status.st_mode):
        session.transaction.take(source, destination)
        return
    largest = _LARGEST_LINTED if output.linter else _LARGEST
    if not stat.S_ISREG(status.st_mode) or status.st_size > largest:
        limit = size_in_words(largest)
        raise OutputRefused(step.id, output.path, f"it is not a regular file of at most {limit}")
    if output.linter:
        content = _read(source)
        session.provider.lint(output.linter, content, session.facts())
        session.transaction.put(destination, content)
        return
    # A copy, since a build keeps its own; of a program that may be as large as any file may be.
    taken = session.transaction.scratch(copy) / "file"
    with _opened(source) as file, taken.open("xb") as out:
        shutil.copyfileobj(file, out)
    session.transaction.take(taken, destination, executable=output.executable)


def _on_host(step: Step, output: Output, places: Places) -> Path:
    for target, directory in places.written.items():
        if output.path == target or output.path.startswith(f"{target}/"):
            return directory.joinpath(*output.path.removeprefix(target).strip("/").split("/"))
    raise OutputRefused(step.id, output.path, "its mount keeps nothing on the host")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _opened(path: Path) -> BinaryIO:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags), "rb")


def _read(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read(_LARGEST_LINTED + 1)
