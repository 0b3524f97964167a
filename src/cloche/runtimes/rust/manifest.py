"""Cargo.toml as a value: what planning needs, read strictly, nothing executed."""

from collections.abc import Iterator
from dataclasses import dataclass

from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.rust.document import Table, read_table, table, tables, text, texts
from cloche.runtimes.rust.lint import ONLY_REGISTRY
from cloche.runtimes.rust.names import is_name, is_version, joined

_DEPENDENCIES = (
    "dependencies",
    "dev-dependencies",
    "dev_dependencies",
    "build-dependencies",
    "build_dependencies",
)
_TARGETS = ("bin", "example", "test", "bench")
_MOST_DEPENDENCIES = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One line that asks for another package."""

    where: str
    """The table it stands in."""
    name: str
    """As the manifest calls it."""
    package: str
    """As its own manifest calls it."""
    path: str
    """As written; "" when it names none."""
    git: str
    registry: str
    """A registry that is not the usual one; "" when it names none."""
    has_version: bool
    inherits: bool
    """The root of the workspace says the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target that the manifest describes itself."""

    kind: str
    name: str
    path: str
    gated: bool
    """Only built with features that are not the usual ones, perhaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One Cargo.toml, of the root or of a member."""

    path: str
    content: bytes
    is_package: bool
    name: str
    version: str
    licence: str
    default_run: str
    build_script: str
    """Its path when the manifest names one."""
    finds_binaries: bool
    """Programs below src need not be described."""
    library: str
    """Path of the library when the manifest names one."""
    targets: tuple[Target, ...]
    dependencies: tuple[Dependency, ...]
    is_workspace: bool
    workspace: str
    """Where the root of its workspace is, when the manifest says so."""
    given_version: str
    """What members inherit as their version; "" when nothing."""
    members: tuple[str, ...]
    excluded: tuple[str, ...]
    default_members: tuple[str, ...]

    @property
    def directory(self) -> str:
        """Where it lies in the project; "" for the root's."""
        return self.path.rpartition("/")[0]

    def depends_on(self, name: str) -> bool:
        """Tell whether the package itself asks for `name`."""
        return any(
            dependency.package == name
            for dependency in self.dependencies
            if not dependency.where.startswith(("workspace", "patch", "replace"))
        )


def read_manifest(path: str, content: bytes, *, root: "Manifest | None" = None) -> Manifest:
    """Read a Cargo.toml; `root` is that of its workspace. Raises CannotPlan."""
    found = read_table(path, content)
    package = table(found.get("package", found.get("project")))
    workspace = table(found.get("workspace"))
    dependencies = tuple(_dependencies(found))
    if len(dependencies) > _MOST_DEPENDENCIES:
        raise CannotPlan(path, f"it names more than {_MOST_DEPENDENCIES} dependencies")
    name, version = text(package.get("name")), _version(package, workspace, root)
    if package and not is_name(name):
        raise CannotPlan(path, f"{name[:80]!r} cannot name a package")
    if version and not is_version(version):
        raise CannotPlan(path, f"{version[:80]!r} is no version")
    script = package.get("build")
    return Manifest(
        path=path,
        content=content,
        is_package=bool(package),
        name=name,
        version=version or "0.0.0",
        licence=text(package.get("license")),
        default_run=text(package.get("default-run")),
        build_script=text(script),
        finds_binaries=package.get("autobins") is not False,
        library=text(table(found.get("lib")).get("path")),
        targets=tuple(_targets(path, found)),
        dependencies=dependencies,
        is_workspace="workspace" in found,
        workspace=text(package.get("workspace")),
        given_version=_given_version(workspace),
        members=texts(workspace.get("members")),
        excluded=texts(workspace.get("exclude")),
        default_members=texts(workspace.get("default-members")),
    )


def _version(package: Table, workspace: Table, root: "Manifest | None") -> str:
    version = package.get("version")
    if not isinstance(version, dict):
        return text(version)
    return root.given_version if root is not None else _given_version(workspace)


def _given_version(workspace: Table) -> str:
    return text(table(workspace.get("package")).get("version"))


def _targets(path: str, found: Table) -> Iterator[Target]:
    for kind in _TARGETS:
        for one in tables(found.get(kind)):
            name = text(one.get("name"))
            if name and not is_name(name):
                raise CannotPlan(path, f"{name[:80]!r} cannot name a {kind}")
            gated = bool(one.get("required-features"))
            yield Target(kind=kind, name=name, path=text(one.get("path")), gated=gated)


def _dependencies(found: Table) -> Iterator[Dependency]:
    yield from _in_fields(found, "")
    for platform, fields in table(found.get("target")).items():
        yield from _in_fields(table(fields), f"target.{platform[:80]}.")
    yield from _in_fields(table(found.get("workspace")), "workspace.")
    for source, entries in table(found.get("patch")).items():
        yield from _in(table(entries), f"patch.{source[:80]}")
    yield from _in(table(found.get("replace")), "replace")


def _in_fields(fields: Table, prefix: str) -> Iterator[Dependency]:
    for field in _DEPENDENCIES:
        yield from _in(table(fields.get(field)), f"{prefix}{field}")


def _in(entries: Table, where: str) -> Iterator[Dependency]:
    for name, asked in entries.items():
        more = table(asked)
        other = more.get("registry", more.get("registry-index", ""))
        yield Dependency(
            where=where,
            name=name,
            package=text(more.get("package")) or name,
            path=text(more.get("path")),
            git=text(more.get("git")),
            registry=other if isinstance(other, str) else "?",
            has_version=isinstance(asked, str) or "version" in more,
            inherits=more.get("workspace") is True,
        )


def objections_to(manifest: Manifest) -> tuple[str, ...]:
    """Give every reason why no fetch step may see what `manifest` asks for."""
    reasons = []
    for dependency in manifest.dependencies:
        where = f"{manifest.path} {dependency.where}.{dependency.name[:80]}"
        if dependency.path:
            if joined(manifest.directory, dependency.path) is None:
                reasons.append(f"{where} ({dependency.path[:120]}): it leads outside the project")
        elif dependency.git:
            reasons.append(f"{where} ({dependency.git[:120]}): it comes from git; {ONLY_REGISTRY}")
        elif not is_name(dependency.package):
            # No registry has one; of some, cargo 1.95 panics.
            reasons.append(f"{where}: {dependency.package[:80]!r} is no name of a package")
        if dependency.registry:
            reasons.append(f"{where}: it comes from the registry {dependency.registry[:80]!r}")
    return tuple(reasons)
