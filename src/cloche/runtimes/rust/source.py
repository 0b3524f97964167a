"""A Rust project as data: manifests, lock and settings, read once for each plan."""

from collections.abc import Iterator
from dataclasses import dataclass

from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, LintRefused
from cloche.runtimes.rust.lock import Lock, read_lock
from cloche.runtimes.rust.manifest import Manifest, objections_to, read_manifest
from cloche.runtimes.rust.members import Excluded, Members
from cloche.runtimes.rust.names import joined
from cloche.runtimes.rust.settings import Settings, read_settings

MANIFEST = "Cargo.toml"
LOCK = "Cargo.lock"
# Four times the lock of twenty thousand packages; reading it takes 0.4 s a MiB.
_LARGEST_LOCK = 8 << 20
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
            members = Members(MANIFEST, named)
            return tuple(one for one in self.packages if members.has(one.directory))
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
    content = view.read(LOCK, limit=_LARGEST_LOCK)
    if content is None and view.names(LOCK):
        raise CannotPlan(LOCK, "it has more than 8 MiB")
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
    members, excluded = Members(MANIFEST, root.members), Excluded(MANIFEST, root.excluded)
    names = view.names(f"*/{MANIFEST}", limit=_MOST_MANIFESTS)
    directories = [name.rpartition("/")[0] for name in names]
    return [
        directory
        for directory in directories
        if members.has(directory) and not excluded.has(directory)
    ]


def _paths(manifest: Manifest) -> list[str]:
    found = (
        joined(manifest.directory, dependency.path)
        for dependency in manifest.dependencies
        if dependency.path
    )
    return [place for place in found if place]
