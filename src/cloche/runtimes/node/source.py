"""A Node project as data: manifest, members, lock and settings, read once for each plan."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from cloche.runtimes.json_object import write_object
from cloche.runtimes.node.lock import Lock, read_lock
from cloche.runtimes.node.manifest import DEPENDENCY_FIELDS, Manifest, objections_to, read_manifest
from cloche.runtimes.node.names import directory_of, is_inside
from cloche.runtimes.node.npmrc import ProjectSettings, read_settings
from cloche.runtimes.project import LOCK_BYTES, ProjectView
from cloche.runtimes.provider import CannotPlan, LintRefused

MANIFEST = "package.json"
LOCK = "package-lock.json"
_LOCKS = ("npm-shrinkwrap.json", LOCK)  # npm prefers the first
_OTHERS = ("pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb")
_MOST_MEMBERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProject:
    """What planning knows of a project."""

    manifest: Manifest
    members: tuple[Manifest, ...]
    """Workspaces and "file:" directories, by path."""
    lock: Lock | None
    settings: ProjectSettings
    other_locks: tuple[str, ...]

    def member_paths(self) -> tuple[str, ...]:
        """Give the directories of the members."""
        return tuple(member.directory for member in self.members)

    def is_locked(self) -> bool:
        """Tell whether the lock was made from these very manifests."""
        if self.lock is None:
            return False
        if not _agrees(self.manifest, dict(self.lock.root)):
            return False
        for member, path in zip(self.members, self.member_paths(), strict=True):
            entry = self.lock.get(path)
            if entry is None or not _agrees(member, dict(entry.raw)):
                return False
        return True


def read_manifest_only(view: ProjectView) -> Manifest:
    """Read the root's package.json alone. Raises CannotPlan."""
    content = view.read(MANIFEST)
    if content is None:
        raise CannotPlan(MANIFEST, "it is absent, too large, or not a regular file")
    return read_manifest(MANIFEST, content)


def read_project(view: ProjectView) -> NodeProject:
    """Read and judge everything a fetch may use. Raises CannotPlan, LockTooOld, LintRefused."""
    manifest = read_manifest_only(view)
    members = read_members(view, manifest)
    reasons = [
        reason
        for one in (manifest, *members)
        for reason in objections_to(one, is_root=one is manifest)
    ]
    if reasons:
        raise LintRefused(MANIFEST, tuple(reasons))
    return NodeProject(
        manifest=manifest,
        members=members,
        lock=read_project_lock(view),
        settings=read_settings(view.read(".npmrc") or b""),
        other_locks=tuple(name for name in _OTHERS if view.read(name, limit=LOCK_BYTES)),
    )


def read_project_lock(view: ProjectView) -> Lock | None:
    """Read the lock that npm would take; None when there is none. Raises LockTooOld, CannotPlan."""
    for name in _LOCKS:
        content = view.read(name, limit=LOCK_BYTES)
        if content is not None:
            return read_lock(name, content)
    return None


def read_members(view: ProjectView, root: Manifest) -> tuple[Manifest, ...]:
    """Find workspaces and "file:" directories, and those that these depend on in turn. Raises CannotPlan."""
    found: dict[str, Manifest] = {}
    pending = [*_workspace_paths(view, root.workspaces), *_directories(root)]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        if len(found) >= _MOST_MEMBERS:
            raise CannotPlan(MANIFEST, f"it has more than {_MOST_MEMBERS} members")
        name = f"{path}/{MANIFEST}"
        content = view.read(name)
        if content is None:
            raise CannotPlan(name, "it is absent, too large, or not a regular file")
        found[path] = read_manifest(name, content)
        pending += _directories(found[path])
    return tuple(found[path] for path in sorted(found))


def _directories(manifest: Manifest) -> list[str]:
    base = manifest.path.rpartition("/")[0]
    return [
        path
        for field in DEPENDENCY_FIELDS
        for spec in manifest.dependencies[field].values()
        if spec.startswith("file:") and (path := directory_of(spec, base=base))
    ]


def _workspace_paths(view: ProjectView, patterns: tuple[str, ...]) -> list[str]:
    if not patterns:
        return []
    names = [name for name in view.names(f"*/{MANIFEST}") if "node_modules/" not in name]
    directories = [name.rpartition("/")[0] for name in names]
    chosen: list[str] = []
    for pattern in patterns:
        plain = pattern.removeprefix("./").rstrip("/")
        if not is_inside(plain.replace("*", "x").replace("!", "x")) or plain.startswith("!"):
            raise CannotPlan(MANIFEST, f"the workspace pattern {pattern[:120]!r} is not plain")
        chosen += [path for path in directories if _matches(path, plain)]
    return chosen


def _matches(path: str, pattern: str) -> bool:
    """Match part by part: fnmatch alone would let "*" cross a slash."""
    parts, wanted = path.split("/"), pattern.split("/")
    if "**" in wanted:
        return fnmatchcase(path, pattern.replace("**", "*"))
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _agrees(manifest: Manifest, recorded: dict[str, object]) -> bool:
    """Compare what is asked for now with what the lock says was asked for."""
    then = read_manifest(manifest.path, write_object(recorded))
    now = manifest.dependencies
    optional = set(now["optionalDependencies"])
    for field in DEPENDENCY_FIELDS:
        # npm records a name once: an optional one is taken out of the others.
        asked = {
            k: v for k, v in now[field].items() if field != "dependencies" or k not in optional
        }
        if dict(then.dependencies[field]) != asked:
            return False
    return then.workspaces == manifest.workspaces
