"""Fetch what a replica of the project needs, then restore the project itself without network."""

from hashlib import sha256

from cloche.model.ids import StepId
from cloche.model.step import Mount, Net, Output, Plan, Projection, Step, Trust
from cloche.model.step import Source as From
from cloche.runtimes.dotnet.projection import FETCH
from cloche.runtimes.dotnet.source import Project, Source
from cloche.runtimes.dotnet.vocabulary import (
    ARTIFACTS,
    CACHE,
    CACHED,
    DOTNET,
    FETCH_MOUNTS,
    OFFLINE,
    PACKAGES,
    PROJECT,
    QUIET,
    built,
    environment,
    fetch_environment,
    offline_projection,
    projection_of,
    properties_of,
)
from cloche.runtimes.provider import HostFacts

_VERB = "resolve"
_WANTING_PACKAGES = ("PackageReference", "GlobalPackageReference", "PackageDownload")
# With none of these the SDK has all that a project of its own framework needs.
_WANTING_PACKS = (
    "RuntimeIdentifier", "RuntimeIdentifiers", "SelfContained", "PublishSingleFile", "PublishTrimmed",
    "PublishAot", "PublishReadyToRun", "PublishSelfContained", "RuntimeFrameworkVersion",
    "IsTrimmable", "IsAotCompatible", "EnableTrimAnalyzer", "EnableAotAnalyzer", "EnableSingleFileAnalyzer",
)  # fmt: skip


def plan_resolve(source: Source, facts: HostFacts) -> Plan:
    """Plan the fetch, where there is something to fetch that the cache has not, and the restore."""
    wants = any(_wants(project, facts) for project in source.projects)
    notes, projections = source.notes, [offline_projection(facts, needs_packages=wants)]
    steps: list[Step] = []
    projection = projection_of(source, facts)
    key = fetch_key(projection, facts)
    if not wants:
        notes = (*notes, "the project needs no packages: there is nothing to fetch")
    elif key not in facts.fetched:
        projections.append(projection)
        steps.append(_fetch(source, key))
    steps.append(_restore(source, facts))
    return Plan(verb=_VERB, steps=tuple(steps), projections=tuple(projections), notes=notes)


def fetch_key(projection: Projection, facts: HostFacts) -> str:
    """Give the key under which the cache remembers that everything for this replica is in it."""
    tool = facts.toolchains["dotnet"]
    parts = [
        f"{name} {sha256(content).hexdigest()}"
        for name, content in sorted(projection.files.items())
    ]
    urls = facts.registry.urls if facts.registry is not None else ()
    return sha256("\n".join((tool.version, tool.digest, *parts, *urls)).encode()).hexdigest()


def _wants(project: Project, facts: HostFacts) -> bool:
    own = f"net{facts.toolchains['dotnet'].version.partition('.')[0]}.0"
    return (
        any(item.kind in _WANTING_PACKAGES for item in project.items)
        or set(project.frameworks) != {own}
        or any(project.properties.get(name) for name in _WANTING_PACKS)
        or bool(project.conditional)
        or project.is_desktop
        or project.sdk == "Microsoft.NET.Sdk.BlazorWebAssembly"
    )


def _fetch(source: Source, key: str) -> Step:
    locked = {
        (entry.name, entry.version)
        for lock in source.locks
        for entry in lock.entries
        if entry.version
    }
    named = {
        item.name.lower()
        for p in source.projects
        for item in p.items
        if item.kind in _WANTING_PACKAGES
    }
    return Step(
        id=StepId("fetch"),
        title="Download packages",
        argv=(DOTNET, "msbuild", f"/p/{FETCH}", *QUIET, "-m:1", "-v:normal"),
        trust=Trust.TOOL,
        net=Net.REGISTRY,
        registry=CACHE,
        cwd="/p",
        env=fetch_environment(),
        mounts=FETCH_MOUNTS,
        outputs=(Output(path=f"/cache/{CACHE}", promote=CACHE),),
        limits="fetch",
        parser="nuget",
        expected=max(len(locked), len(named)),
        skip_key=key,
    )


def _restore(source: Source, facts: HostFacts) -> Step:
    locked = ("--locked-mode",) if source.locks else ()
    return Step(
        id=StepId("restore"),
        title="Restore without network",
        argv=(
            DOTNET,
            "restore",
            f"/project/{source.target}",
            "--configfile=/offline/NuGet.config",
            f"--packages={PACKAGES}",
            ARTIFACTS,
            *locked,
            "-p:Configuration=Release",
            *properties_of(source),
            *QUIET,
        ),
        trust=Trust.PROJECT,
        env=environment(),
        mounts=(
            PROJECT,
            CACHED,
            Mount(target="/offline", source=From.PROJECTION, ref=OFFLINE),
            built(source, facts),
        ),
        limits="rebuild",
        parser="msbuild",
        expected=len(source.projects),
    )
