"""The parts of a project: directories that runtimes claim, each with a plan of its own."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path, PurePosixPath

from cloche.errors import ClocheError
from cloche.kernel.session import Machine
from cloche.kernel.view import NOT_SOURCES, DirectoryView, entries_of
from cloche.runtimes.project import MANIFEST_BYTES, ProjectView
from cloche.runtimes.provider import Detection, RuntimeProvider
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.jail import join, read_file

_DEEPEST = 4
_MOST_PARTS = 16
_MOST_ENTRIES = 200_000
# What tools make and fetch, and what is nobody's sources.
_OF_TOOLS = frozenset({"node_modules", "target", "bin", "obj", "dist", "artifacts"})
_WHOLE = "."


class TooManyParts(ClocheError):
    """More directories of a project are claimed by runtimes than are worked on at once."""

    code = "too-many-parts"
    exit_status = 78
    remedy = "Name those that are meant: --part DIRECTORY, once for each."

    def __init__(self, project: str) -> None:
        super().__init__(f"{project} has more than {_MOST_PARTS} parts: too many at once")
        self.project = project


class NoSuchPart(ClocheError):
    """A part was named that the project has not."""

    code = "no-such-part"
    exit_status = 79
    remedy = "Give the directory of a part, relative to the project."

    def __init__(self, named: str, parts: tuple[str, ...]) -> None:
        super().__init__(f"no runtime recognises a part {named!r}; there are: {', '.join(parts)}")
        self.named, self.parts = named, parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A directory of a project, "" for all of it, and the runtime that claims it."""

    prefix: str
    provider: RuntimeProvider
    detection: Detection

    @property
    def name(self) -> str:
        """What a person calls it: its directory."""
        return self.prefix or _WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is worked on as one: a claim, and the machine with the tools of that runtime."""

    claim: Claim
    machine: Machine

    @property
    def name(self) -> str:
        """See Claim."""
        return self.claim.name

    @property
    def owned(self) -> tuple[str, ...]:
        """Trees of its tools, by their paths in the project."""
        names = self.claim.provider.destroy(_NoFiles())
        return tuple(join(self.claim.prefix, name) for name in names)


def find_parts(
    root: Path, providers: tuple[RuntimeProvider, ...], named: tuple[str, ...] = ()
) -> tuple[Claim, ...]:
    """Give the parts of the project at `root`, ordered by path; those that are `named`, if any are.

    One that a runtime claims as a whole is one part, also where another runtime would claim a
    directory of it: a fixture or an example looks like a project too. Such a one is a part when it is
    named. Else the parts are the topmost directories that are claimed, down to the fourth level.
    Raises TooManyParts, NoSuchPart, TreeTooLarge.
    """
    whole = find_whole(root, providers)
    if whole is not None and not named:
        return (whole,)
    found = _below(root, providers, whole)
    if named:
        return _chosen((*((whole,) if whole else ()), *found), named)
    # Who is asked of a hundred thousand directories is not asked of all: the first too many will do.
    first = tuple(islice(found, _MOST_PARTS + 1))
    if len(first) > _MOST_PARTS:
        raise TooManyParts(str(root))
    return first


def find_whole(root: Path, providers: tuple[RuntimeProvider, ...]) -> Claim | None:
    """Give the claim on all of the project at `root`, None when no runtime makes it."""
    return _claim(DirectoryView(root), "", providers)


def _claim(view: ProjectView, prefix: str, providers: tuple[RuntimeProvider, ...]) -> Claim | None:
    """Give the claim of the provider that is surest of `view`, None when nobody claims it."""
    found = [
        Claim(prefix=prefix, provider=provider, detection=detection)
        for provider in providers
        if (detection := provider.detect(view)) is not None
    ]
    return max(found, key=lambda claim: claim.detection.confidence, default=None)


def _below(
    root: Path, providers: tuple[RuntimeProvider, ...], whole: Claim | None
) -> Iterator[Claim]:
    """Yield the topmost directories that are claimed, by another runtime than `whole` if that is there."""
    directories, files = _listing(root)
    # What belongs to the runtime of the whole is a member of it.
    others = tuple(p for p in providers if whole is None or p is not whole.provider)
    claimed: set[str] = set()
    for directory in directories:  # sorted: what lies in one comes after it
        if any(str(above) in claimed for above in PurePosixPath(directory).parents):
            continue
        claim = _claim(_ListedView(root, files, directory), directory, others)
        if claim is not None:
            claimed.add(directory)
            yield claim


def _chosen(found: tuple[Claim, ...], named: tuple[str, ...]) -> tuple[Claim, ...]:
    names = {name.rstrip("/").removeprefix("./") or _WHOLE for name in named}
    for name in names - {claim.name for claim in found}:
        raise NoSuchPart(name, tuple(claim.name for claim in found))
    chosen = tuple(claim for claim in found if claim.name in names)
    if len(chosen) > _MOST_PARTS:
        raise TooManyParts("what is named")
    return chosen


def _listing(root: Path) -> tuple[list[str], list[str]]:
    """Give (directories that may be parts, regular files), both sorted, come to through no link."""
    directories: list[str] = []
    files: list[str] = []
    waiting, seen = [""], 0
    while waiting:
        at = waiting.pop()
        for entry in entries_of(root / at):
            seen += 1
            if seen > _MOST_ENTRIES:
                raise TreeTooLarge(str(root), f"it has more than {_MOST_ENTRIES} entries")
            path = join(at, entry.name)
            if entry.is_file(follow_symlinks=False):
                files.append(path)
            elif entry.is_dir(follow_symlinks=False) and entry.name not in NOT_SOURCES:
                waiting.append(path)
                directories.append(path)
    parts = [path for path in directories if _may_be_part(path)]
    return sorted(parts), sorted(files)


def _may_be_part(path: str) -> bool:
    names = path.split("/")
    return len(names) <= _DEEPEST and not any(
        name in _OF_TOOLS or name.startswith(".") for name in names
    )


class _ListedView:
    """A ProjectView of one directory, over files that were listed once for all of them."""

    def __init__(self, root: Path, files: list[str], prefix: str) -> None:
        self._root, self._prefix = root, prefix
        # "0" is the character after "/".
        begin, end = (bisect_left(files, f"{prefix}{character}") for character in "/0")
        self._names = [name[len(prefix) + 1 :] for name in files[begin:end]]

    def names(self, pattern: str, *, limit: int = 1000) -> tuple[str, ...]:
        """Give names of regular files that match, sorted."""
        return tuple(name for name in self._names if fnmatchcase(name, pattern))[:limit]

    def read(self, name: str, *, limit: int = MANIFEST_BYTES) -> bytes | None:
        """Give a regular file's whole content, or None."""
        return read_file(self._root, join(self._prefix, name), limit)


class _NoFiles:
    """A view of nothing: some answers of a provider depend on no project."""

    def names(self, pattern: str, *, limit: int = 0) -> tuple[str, ...]:
        """Give no names."""
        del pattern, limit
        return ()

    def read(self, name: str, *, limit: int = 0) -> bytes | None:
        """Give nothing."""
        del name, limit
        return None
