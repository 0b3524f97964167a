"""package.json as a value: what planning needs, read strictly, nothing executed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloche.runtimes.json_object import read_object, texts
from cloche.runtimes.node.names import directory_of, is_name, is_version, objection_to_spec
from cloche.runtimes.provider import CannotPlan

DEPENDENCY_FIELDS = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
)
_MOST_DEPENDENCIES = 5_000
_DEEPEST_OVERRIDE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One package.json, of the root or of a member."""

    path: str
    name: str
    version: str
    dependencies: Mapping[str, Mapping[str, str]]
    """Field of DEPENDENCY_FIELDS to name to what is asked for."""
    optional_peers: Mapping[str, Any]
    overrides: Mapping[str, Any]
    workspaces: tuple[str, ...]
    engines: Mapping[str, str]
    scripts: Mapping[str, str]
    module_type: str
    main: str

    @property
    def directory(self) -> str:
        """Where it lies in the project; "" for the root's."""
        return self.path.rpartition("/")[0]

    def depends_on(self, name: str) -> bool:
        """Tell whether `name` is asked for in any field."""
        return any(name in entries for entries in self.dependencies.values())

    def needs_packages(self) -> bool:
        """Tell whether anything at all must be resolved."""
        return bool(self.workspaces) or any(self.dependencies.values())


def read_manifest(path: str, content: bytes) -> Manifest:
    """Read a package.json. Raises CannotPlan; what it asks for is judged by `objections_to`."""
    data = read_object(path, content)
    dependencies = {field: _dependencies(path, field, data) for field in DEPENDENCY_FIELDS}
    if sum(map(len, dependencies.values())) > _MOST_DEPENDENCIES:
        raise CannotPlan(path, f"it names more than {_MOST_DEPENDENCIES} dependencies")
    name, version = data.get("name", ""), data.get("version", "")
    overrides = data.get("overrides", {})
    peers = data.get("peerDependenciesMeta", {})
    return Manifest(
        path=path,
        name=name if isinstance(name, str) and is_name(name) else "",
        version=version if isinstance(version, str) and is_version(version) else "",
        dependencies=dependencies,
        optional_peers=peers if isinstance(peers, dict) else {},
        overrides=overrides if isinstance(overrides, dict) else {},
        workspaces=_workspaces(path, data.get("workspaces", ())),
        engines=texts(data.get("engines")),
        scripts=texts(data.get("scripts")),
        module_type="module" if data.get("type") == "module" else "commonjs",
        main=data["main"] if isinstance(data.get("main"), str) else "",
    )


def objections_to(manifest: Manifest, *, is_root: bool) -> tuple[str, ...]:
    """Give every reason why no fetch step may see what `manifest` asks for."""
    reasons = []
    base = manifest.path.rpartition("/")[0]
    for field, entries in manifest.dependencies.items():
        for name, spec in entries.items():
            where = f"{manifest.path} {field}.{name[:80]} ({spec[:120]})"
            if not is_name(name):
                reasons.append(f"{where}: it is not a package name")
            elif spec.startswith("file:") and not directory_of(spec, base=base):
                reasons.append(f"{where}: it leads outside the project, or to an archive")
            elif why := objection_to_spec("*" if spec.startswith("file:") else spec):
                reasons.append(f"{where}: {why}")
    if is_root:
        reasons += _override_objections(manifest.overrides, f"{manifest.path} overrides", 0)
    return tuple(reasons)


def _override_objections(overrides: Mapping[str, Any], where: str, depth: int) -> list[str]:
    if depth > _DEEPEST_OVERRIDE:
        return [f"{where}: nested too deep"]
    reasons: list[str] = []
    for key, value in overrides.items():
        here = f"{where}.{key[:80]}"
        if isinstance(value, dict):
            reasons += _override_objections(value, here, depth + 1)
        elif not isinstance(value, str):
            reasons.append(f"{here}: it is neither a range nor an object")
        elif not (value.startswith("$") and is_name(value[1:])):
            # A file here would be relative to another package: refused, unlike in dependencies.
            why = "a file" if value.startswith("file:") else objection_to_spec(value)
            if why:
                reasons.append(f"{here} ({value[:120]}): {why}")
    return reasons


def _dependencies(path: str, field: str, data: Mapping[str, Any]) -> dict[str, str]:
    value = data.get(field, {})
    if not isinstance(value, dict) or len(texts(value)) != len(value):
        raise CannotPlan(path, f"{field} is not an object of name to range")
    return texts(value)


def _workspaces(path: str, value: object) -> tuple[str, ...]:
    if isinstance(value, dict):
        value = value.get("packages", ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise CannotPlan(path, "workspaces is not a list of patterns")
    return tuple(value)
