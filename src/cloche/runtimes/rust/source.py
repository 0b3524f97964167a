"""A Rust project as data: manifests, lock and settings, read once for each plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cloche.runtimes.project import LOCK_BYTES, ProjectView
from cloche.runtimes.provider import CannotPlan, LintRefused
from cloche.runtimes.rust.lock import Lock, read_lock
from cloche.runtimes.rust.manifest import Manifest, objections_to, read_manifest
from cloche.runtimes.rust.names import joined
from cloche.runtimes.rust.settings import Settings, read_settings

MANIFEST = "Cargo.toml"
LOCK = "Cargo.lock"
_MOST_MEMBERS = 500
_MOST_MANIFESTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RustProject:
    """What planning knows of a project."""

    root: Manifest
    packages: tuple[Manifest, ...]
    """Every package of the workspace, the root's first where it is one."""
    lock: Lock | None
    settings: Settings

    def manifests(self) -> tuple[Manifest, ...]:
        """Give every manifest there is."""
        return self.packages if self.root.is_package else (self.root, *self.packages)

    def asks_registry(self) -> bool:
        """Tell whether anything has to come from a registry."""
        if self.lock is not None and self.lock.fetched():
            return True
        return any(
            not dependency.path and not dependency.inherits
            for manifest in self.manifests()
            for dependency in manifest.dependencies
        )

    def built(self) -> tuple[Manifest, ...]:
        """Give the packages that cargo builds when it is not told which."""
        named = self.root.default_members
        if named:
            return tuple(one for one in self.packages if _is_matched(one.directory, named))
        return (self.root,) if self.root.is_package else self.packages

    def target(self) -> str:
        """Give the platform that is built for; "" for this one."""
        return self.settings.target


def read_root(view: ProjectView) -> Manifest:
    """Read the root's manifest alone. Raises CannotPlan."""
    content = view.read(MANIFEST)
    if content is None:
        raise CannotPlan(MANIFEST, "it is not there, or no regular file of at most 1 MiB")
    return read_manifest(MANIFEST, content)


def read_project(view: ProjectView) -> RustProject:
    """Read what a plan is made from. Raises CannotPlan, LintRefused."""
    root = read_root(view)
    if root.workspace and joined("", root.workspace) != "":
        raise CannotPlan(
            MANIFEST, "the root of its workspace lies outside", "work on the workspace as a whole"
        )
    packages = tuple(_packages(root, view))
    settings = read_settings(view)
    content = view.read(LOCK, limit=LOCK_BYTES)
    project = RustProject(
        root=root,
        packages=packages,
        lock=None if content is None else read_lock(LOCK, content),
        settings=settings,
    )
    # What a vendored project asks for comes from itself, wherever it came from once.
    reasons = [
        reason
        for manifest in project.manifests()
        for reason in objections_to(manifest)
        if not settings.vendored or "leads outside" in reason
    ]
    if reasons:
        raise LintRefused(MANIFEST, tuple(reasons[:50]))
    return project


def _packages(root: Manifest, view: ProjectView) -> Iterator[Manifest]:
    """Yield the packages of the workspace: its members, and all that they name by path."""
    waiting = [""] if root.is_package else []
    waiting += _members(root, view) if root.is_workspace else []
    waiting += _paths(root)
    seen: set[str] = set()
    while waiting:
        directory = waiting.pop(0)
        if directory in seen:
            continue
        seen.add(directory)
        if len(seen) > _MOST_MEMBERS:
            raise CannotPlan(root.path, f"it has more than {_MOST_MEMBERS} packages")
        path = f"{directory}/{MANIFEST}" if directory else MANIFEST
        content = view.read(path)
        if content is None:
            continue  # cargo itself says best what is missing
        manifest = root if not directory else read_manifest(path, content, root=root)
        if manifest.is_package:
            yield manifest
        if manifest is not root:
            waiting += _paths(manifest)


def _members(root: Manifest, view: ProjectView) -> list[str]:
    names = view.names(f"*/{MANIFEST}", limit=_MOST_MANIFESTS)
    directories = [name.rpartition("/")[0] for name in names]
    return [
        directory
        for directory in directories
        if _is_matched(directory, root.members) and not _is_excluded(directory, root.excluded)
    ]


def _paths(manifest: Manifest) -> list[str]:
    found = (
        joined(manifest.directory, dependency.path)
        for dependency in manifest.dependencies
        if dependency.path
    )
    return [place for place in found if place]


def _is_matched(directory: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a glob of cargo's means `directory`: a star stays within one part."""
    parts = directory.split("/") if directory else ["."]
    for pattern in patterns:
        wanted = [part for part in pattern.split("/") if part not in ("", ".")] or ["."]
        if len(wanted) == len(parts) and all(
            fnmatchcase(part, glob) for part, glob in zip(parts, wanted, strict=True)
        ):
            return True
    return False


def _is_excluded(directory: str, excluded: tuple[str, ...]) -> bool:
    places = [joined("", path) for path in excluded]
    return any(place and f"{directory}/".startswith(f"{place}/") for place in places)
