"""Fetch what a replica of the project needs, then restore the project itself without network."""

from dataclasses import replace

from cloche.model.ids import StepId
from cloche.model.step import Mount, Net, Output, Plan, Step, Trust
from cloche.model.step import Source as From
from cloche.runtimes.dotnet.diagnostics.nuget import LOCK_DIFFERS
from cloche.runtimes.dotnet.lock import locked_digests
from cloche.runtimes.dotnet.projection import ANEW, FETCH, lock_of
from cloche.runtimes.dotnet.source import Project, Source
from cloche.runtimes.dotnet.vocabulary import (
    ARTIFACTS,
    CACHE,
    CACHED,
    DOTNET,
    FETCH_MOUNTS,
    LOCK_LINTER,
    OFFLINE,
    PACKAGES,
    PROJECT,
    QUIET,
    built,
    environment,
    fetch_environment,
    fetch_key,
    offline_projection,
    projections_of,
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
    key = fetch_key(source, facts)
    notes, projections = source.notes, [offline_projection(facts, key, needs_packages=wants)]
    steps: list[Step] = []
    if not wants:
        notes = (*notes, "the project needs no packages: there is nothing to fetch")
    elif source.unlocked:
        notes = (
            *notes,
            f"{source.unlocked[0].path} is to have a lock and has none: NuGet makes one first",
        )
        shared, _ = projections_of(source, facts, key)
        return Plan(
            verb=_VERB,
            steps=(_lock(source),),
            projections=(shared,),
            notes=notes,
            again=True,
        )
    elif key not in facts.fetched:
        projections += projections_of(source, facts, key)
        steps += _fetch_locked(source, key) if source.locks else (_fetch(source, key),)
    steps.append(_restore(source, facts))
    return Plan(verb=_VERB, steps=tuple(steps), projections=tuple(projections), notes=notes)


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


def _lock(source: Source) -> Step:
    locks = tuple(
        Output(path=f"/p/tree/{lock_of(p)}", commit_to=lock_of(p), linter=LOCK_LINTER)
        for p in source.unlocked
    )
    step = _fetch(source, "")
    return replace(
        step,
        id=StepId("lock"),
        title="Choose versions, and download packages",
        outputs=(*locks, *step.outputs),
    )


def _fetch_locked(source: Source, key: str) -> tuple[Step, Step]:
    """Give the fetch, and what stands for it where another project brought other bytes than the lock names."""
    anew = replace(
        _fetch(source, key),
        id=StepId("fetch-anew"),
        title="Download packages anew",
        mounts=(replace(FETCH_MOUNTS[0], ref=ANEW), *FETCH_MOUNTS[1:]),
    )
    fetch = replace(_fetch(source, key), fallback=anew.id, fallback_codes=frozenset({LOCK_DIFFERS}))
    return fetch, anew


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
        outputs=(
            Output(path=f"/cache/{CACHE}", promote=CACHE, digests=locked_digests(source.locks)),
        ),
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
