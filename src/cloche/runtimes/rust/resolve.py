"""Lock and fetch: two steps of cargo's own over what we linted; nothing of the project runs."""

from dataclasses import replace
from hashlib import sha256

from cloche.model.ids import StepId
from cloche.model.step import Net, Output, Plan, Step, Trust
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import HostFacts
from cloche.runtimes.rust.checked import checked_key
from cloche.runtimes.rust.diagnostics.cargo import LOCK_STALE
from cloche.runtimes.rust.lint import lint_lock
from cloche.runtimes.rust.lock import Lock
from cloche.runtimes.rust.projection import project_files
from cloche.runtimes.rust.source import LOCK, RustProject
from cloche.runtimes.rust.vocabulary import (
    BUILDING,
    CACHE,
    CARGO,
    FETCH_MOUNTS,
    FETCHED,
    FETCHING,
    NEUTRAL,
    PROJECT,
)

LOCK_LINTER = "cargo-lock"
_MANIFEST = "--manifest-path=/p/Cargo.toml"
_VERB = "resolve"
# The first cargo that knows "the platform of this machine" by name.
_KNOWS_HOST = (1, 91)


def plan_resolve(project: RustProject, view: ProjectView, facts: HostFacts) -> Plan:
    """Plan until the cache holds everything of the lock. Raises LintRefused, CannotPlan.

    Without a lock, the plan holds the making of one and asks to be made again.
    """
    notes = _notes(project)
    if project.settings.vendored:
        notes = (*notes, f"packages are those in {project.settings.vendored}: nothing is fetched")
        return Plan(verb=_VERB, steps=(_lock_vendored(project.lock),), notes=notes)
    projection = project_files(project, view)
    if not project.asks_registry():
        notes = (*notes, "nothing is asked of a registry: there is nothing to fetch")
        alone = _lock(project.lock, net=Net.NONE)
        return Plan(verb=_VERB, steps=(alone,), projections=(projection,), notes=notes)
    net = Net.NONE if facts.offline else Net.REGISTRY
    if project.lock is None:
        where = " of what is in the cache" if facts.offline else ""
        notes = (*notes, f"there is no lock: cargo makes one first{where}")
        return Plan(
            verb=_VERB,
            steps=(_lock(None, net=net),),
            projections=(projection,),
            notes=notes,
            again=True,
        )
    lint_lock(project.lock, facts.registry)
    key = fetch_key(project, facts)
    if key in facts.fetched:
        notes = (*notes, "everything that the lock names is in the cache")
        return Plan(verb=_VERB, steps=(), notes=notes)
    steps = _fetch(project, project.lock, facts, key)
    # Once more, since the lock may be another when these are done.
    return Plan(verb=_VERB, steps=steps, projections=(projection,), notes=notes, again=True)


def fetch_key(project: RustProject, facts: HostFacts) -> str:
    """Give the key under which a cache remembers that everything of the lock is in it.

    The manifests are in it as well, since a lock may not fit them any more.
    """
    assert project.lock is not None
    manifests = (f"{one.path} {sha256(one.content).hexdigest()}" for one in project.manifests())
    parts = (checked_key(project.lock, project.target(), facts), *manifests)
    return sha256("\n".join(parts).encode()).hexdigest()


def _lock(lock: Lock | None, *, net: Net) -> Step:
    """Give the making of a lock; of one that is there, the mending of what does not fit the manifests."""
    return Step(
        id=StepId("lock"),
        title="Choose versions" if lock is None else "Check the lock",
        argv=(
            CARGO,
            _locking(lock),
            _MANIFEST,
            *(("--offline",) if net is Net.NONE else ()),
        ),
        trust=Trust.TOOL,
        net=net,
        registry="cargo" if net is Net.REGISTRY else "",
        cwd=NEUTRAL,
        env=FETCHING,
        mounts=FETCH_MOUNTS,
        outputs=(
            _LOCK_OUTPUT,
            *((_CACHE_OUTPUT,) if net is Net.REGISTRY else ()),
        ),
        limits="lock",
        parser="cargo-fetch",
    )


def _locking(lock: Lock | None) -> str:
    # `fetch` leaves all that fits as it is, to the byte; what it would download is all there.
    return "generate-lockfile" if lock is None else "fetch"


_LOCK_OUTPUT = Output(path=f"/p/{LOCK}", commit_to=LOCK, linter=LOCK_LINTER)
_CACHE_OUTPUT = Output(path=FETCHED, promote=CACHE)


def _lock_vendored(lock: Lock | None) -> Step:
    """Give the same with packages of the project: its configuration says where they are."""
    return Step(
        id=StepId("lock"),
        title="Choose versions among the vendored packages" if lock is None else "Check the lock",
        argv=(CARGO, _locking(lock), "--offline"),
        trust=Trust.PROJECT,
        env=BUILDING,
        mounts=(PROJECT,),
        limits="lock",
        parser="cargo-fetch",
    )


def _fetch(project: RustProject, lock: Lock, facts: HostFacts, key: str) -> tuple[Step, ...]:
    command = (CARGO, "fetch", _MANIFEST, *_platforms(project, facts))
    if facts.offline:
        return (_look(command, len(lock.fetched()), key),)
    checked = replace(
        _CACHE_OUTPUT,
        digests=lock.digests(),
        checked_key=checked_key(lock, project.target(), facts),
    )
    fetch = Step(
        id=StepId("fetch"),
        title="Download packages",
        argv=(*command, "--locked"),
        trust=Trust.TOOL,
        net=Net.REGISTRY,
        registry="cargo",
        cwd=NEUTRAL,
        env=FETCHING,
        mounts=FETCH_MOUNTS,
        outputs=(checked,),
        limits="fetch",
        parser="cargo-fetch",
        expected=len(lock.fetched()),
        fallback=StepId("lock-anew"),
        fallback_codes=frozenset({LOCK_STALE}),
        skip_key=key,
    )
    # Downloads nothing: of what is new, only the lock that it makes says what it must be.
    anew = replace(
        _lock(lock, net=Net.REGISTRY),
        id=StepId("lock-anew"),
        title="Choose versions for what the lock lacks",
        argv=(CARGO, "update", "--workspace", _MANIFEST),
    )
    return (fetch, anew)


def _look(command: tuple[str, ...], expected: int, key: str) -> Step:
    """Give the step that says whether the cache has everything, for a run without network."""
    return Step(
        id=StepId("fetch"),
        title="Look for packages in the cache",
        argv=(*command, "--locked", "--offline"),
        trust=Trust.TOOL,
        cwd=NEUTRAL,
        env=FETCHING,
        mounts=FETCH_MOUNTS,
        limits="fetch",
        parser="cargo-fetch",
        expected=expected,
        skip_key=key,
    )


def _platforms(project: RustProject, facts: HostFacts) -> tuple[str, ...]:
    """Give the options that leave out what only other platforms need."""
    found = tuple(int(n) for n in facts.toolchains["rust"].version.split("-")[0].split(".")[:2])
    if found < _KNOWS_HOST:
        return ()
    also = (f"--target={project.target()}",) if project.target() else ()
    return ("--target=host-tuple", *also)


def _notes(project: RustProject) -> tuple[str, ...]:
    if not project.settings.left_out or project.settings.vendored:
        return ()
    names = ", ".join(project.settings.left_out[:20])
    return (f"fetch steps do not follow these settings of {project.settings.path}: {names}",)
