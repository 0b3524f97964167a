"""Which programs a package builds, by cargo's rules for where their sources lie."""

import re
from dataclasses import dataclass

from cloche.runtimes.project import ProjectView
from cloche.runtimes.rust.manifest import Manifest
from cloche.runtimes.rust.names import is_name, joined

_MOST_SOURCES = 50_000
# Where a source of cargo's own accord is a target, seen from the package.
_PLACE = re.compile(
    r"(build\.rs|src/(lib|main)\.rs|(src/bin|examples|tests|benches)/[^/]+(\.rs|/main\.rs))\Z"
)
_PROGRAM = re.compile(r"src/bin/(?P<name>[^/]+?)(\.rs|/main\.rs)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """One program."""

    name: str
    package: str
    gated: bool
    """It is built only with features that may be off."""


def sources_of(manifests: tuple[Manifest, ...], view: ProjectView) -> tuple[str, ...]:
    """Give the project-relative sources that are targets, so that a manifest without them is refused."""
    all_sources = view.names("*.rs", limit=_MOST_SOURCES)
    found: dict[str, None] = {}
    for manifest in manifests:
        prefix = f"{manifest.directory}/" if manifest.directory else ""
        named = [manifest.library, manifest.build_script, *(t.path for t in manifest.targets)]
        for path in named:
            place = joined(manifest.directory, path) if path else None
            if place and view.read(place, limit=16 << 20) is not None:
                found[place] = None
        for source in all_sources:
            if source.startswith(prefix) and _PLACE.match(source.removeprefix(prefix)):
                found[source] = None
    return tuple(found)


def binaries_of(manifests: tuple[Manifest, ...], view: ProjectView) -> tuple[Binary, ...]:
    """Give the programs that are built from `manifests`, in their order."""
    return tuple(
        dict.fromkeys(binary for manifest in manifests for binary in _binaries(manifest, view))
    )


def has_library(manifest: Manifest, view: ProjectView) -> bool:
    """Tell whether the package is a library, perhaps besides its programs."""
    path = joined(manifest.directory, manifest.library or "src/lib.rs")
    return bool(path) and view.read(path or "", limit=16 << 20) is not None


def _binaries(manifest: Manifest, view: ProjectView) -> list[Binary]:
    prefix = f"{manifest.directory}/" if manifest.directory else ""
    described = {t.name: t.gated for t in manifest.targets if t.kind == "bin" and t.name}
    names = dict(described)
    if manifest.finds_binaries:
        paths = {t.path for t in manifest.targets if t.kind == "bin"}
        if view.read(f"{prefix}src/main.rs", limit=16 << 20) is not None and (
            "src/main.rs" not in paths
        ):
            names.setdefault(manifest.name, False)
        for source in view.names(f"{prefix}src/bin/*.rs", limit=1000):
            below = source.removeprefix(prefix)
            match = _PROGRAM.match(below)
            if match and below not in paths and is_name(match["name"]):
                names.setdefault(match["name"], False)
    return [
        Binary(name=name, package=manifest.name, gated=gated)
        for name, gated in sorted(names.items())
    ]
