"""The files a fetch step sees: made here from parsed values, byte for byte ours."""

from collections.abc import Mapping
from typing import Any

from cloche.model.step import Projection
from cloche.runtimes.json_object import write_object
from cloche.runtimes.node.lint import followed
from cloche.runtimes.node.lock import FORMAT, Lock
from cloche.runtimes.node.manifest import DEPENDENCY_FIELDS, Manifest
from cloche.runtimes.node.npmrc import write_settings
from cloche.runtimes.node.source import LOCK, MANIFEST, NodeProject
from cloche.runtimes.provider import RegistryFacts

PROJECTION = "npm"


def project_files(project: NodeProject, registry: RegistryFacts | None) -> Projection:
    """Give manifests, lock and settings with nothing in them that could act."""
    files = {
        manifest.path: write_object(_manifest(manifest))
        for manifest in (project.manifest, *project.members)
    }
    files[".npmrc"] = write_settings(project.settings)
    if project.lock is not None:
        files[LOCK] = write_object(_lock(project.lock, registry))
    return Projection(ref=PROJECTION, files=files)


def _manifest(manifest: Manifest) -> dict[str, Any]:
    """Keep what decides the tree; scripts, commands, configuration and all else stay behind."""
    kept: dict[str, Any] = {"private": True}
    if manifest.name:
        kept["name"] = manifest.name
    kept["version"] = manifest.version or "0.0.0"
    kept |= {field: dict(manifest.dependencies[field]) for field in DEPENDENCY_FIELDS}
    if manifest.optional_peers:
        kept["peerDependenciesMeta"] = _peers(manifest.optional_peers)
    if manifest.path == MANIFEST and manifest.overrides:
        kept["overrides"] = dict(manifest.overrides)
    if manifest.workspaces:
        kept["workspaces"] = list(manifest.workspaces)
    if manifest.engines:
        kept["engines"] = dict(manifest.engines)
    return {key: value for key, value in kept.items() if value != {}}


def _peers(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"optional": value.get("optional") is True}
        for name, value in meta.items()
        if isinstance(value, dict)
    }


def _lock(lock: Lock, registry: RegistryFacts | None) -> dict[str, Any]:
    packages: dict[str, Any] = {"": dict(lock.root)}
    for entry in lock.entries:
        raw = dict(entry.raw)
        if entry.is_package:
            raw.pop("resolved", None)
            if address := followed(entry, registry):
                raw["resolved"] = address
            if entry.integrity:
                raw["integrity"] = entry.integrity
        packages[entry.path] = raw
    return {"lockfileVersion": FORMAT, "requires": True, "packages": packages}
