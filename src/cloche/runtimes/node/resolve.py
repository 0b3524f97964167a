"""Lock, fetch, lay out, then the install scripts: four steps, and no two of them may do the same."""

from dataclasses import replace
from hashlib import sha256

from cloche.model.ids import StepId
from cloche.model.step import Net, Output, Plan, Step, Trust
from cloche.runtimes.node.lint import lint_lock
from cloche.runtimes.node.lock import Lock, LockEntry
from cloche.runtimes.node.projection import project_files
from cloche.runtimes.node.source import LOCK, NodeProject
from cloche.runtimes.node.vocabulary import (
    CACHE,
    FETCH_MOUNTS,
    GUARDS,
    NODE,
    NPM,
    ONLY_WAY_OUT,
    PROJECT,
    install_environment,
)
from cloche.runtimes.provider import CannotPlan, HostFacts

LOCK_LINTER = "npm-lock"
SEPARATOR = "\n"
"""Between the name of the linter and the members that links of the lock may lead to."""
ADDITIONS_LINTER = "npm-lock-additions:"
_VERB = "resolve"
_LOCK, _LOCK_WHOLE = StepId("lock"), StepId("lock-whole")
_FETCH, _LAY_OUT, _MEND = StepId("fetch"), StepId("lay-out"), StepId("fetch-again")
# What npm would run of the root's own, in npm's order; `npm run install` runs its pre and post too.
_ROOT_SCRIPTS = ("preinstall", "install", "postinstall", "prepare")


def plan_resolve(project: NodeProject, facts: HostFacts) -> Plan:
    """Plan until everything is in node_modules. Raises LintRefused.

    Without a lock that fits, the plan holds the making of one and asks to be
    made again: only then is it known what there is to fetch.
    """
    notes = _notes(project)
    if not project.manifest.needs_packages():
        notes = (*notes, "package.json names no dependencies: there is nothing to fetch")
        return Plan(verb=_VERB, steps=_root_scripts(project), notes=notes)
    lock = project.lock
    if lock is not None:
        lint_lock(lock, project.member_paths(), facts.registry)
    projection = project_files(project, facts.registry)
    if lock is None or not project.is_locked():
        why = "there is no lock" if lock is None else f"{lock.path} does not fit package.json"
        return Plan(
            verb=_VERB,
            steps=_lock_steps(project),
            projections=(projection,),
            notes=(*notes, f"{why}: npm makes one first"),
            again=True,
        )
    return Plan(
        verb=_VERB,
        steps=(*_fetch_steps(project, lock, facts), *_script_steps(lock), *_root_scripts(project)),
        projections=(projection,),
        notes=notes,
    )


def fetch_key(lock: Lock, facts: HostFacts) -> str:
    """Give the key under which a cache remembers that everything of `lock` is in it."""
    tools = [f"{name} {tool.version}" for name, tool in sorted(facts.toolchains.items())]
    # Packuments are kept by address, so another registry is another fetch.
    urls = facts.registry.urls if facts.registry is not None else ()
    return sha256("\n".join((lock.digest(), *tools, *urls)).encode()).hexdigest()


def _lock_steps(project: NodeProject) -> tuple[Step, ...]:
    """Give the choosing of versions, and what stands for it where npm cannot choose without unpacking."""
    quick = _lock_step(project, _LOCK, "Choose versions", ("--package-lock-only",), limits="lock")
    whole = _lock_step(project, _LOCK_WHOLE, "Choose versions, unpacking", (), limits="fetch")
    # With --package-lock-only npm takes the archive of a package that bundles others for a remote
    # address, and refuses it: npm/cli issue 9800. A whole install chooses the same, in more time.
    return (replace(quick, fallback=_LOCK_WHOLE, fallback_codes=frozenset({"EALLOWREMOTE"})), whole)


def _lock_step(
    project: NodeProject, name: StepId, title: str, options: tuple[str, ...], *, limits: str
) -> Step:
    linter = SEPARATOR.join((LOCK_LINTER, *project.member_paths()))
    return Step(
        id=name,
        title=title,
        argv=(NODE, NPM, "install", *options, *_guards(project), *ONLY_WAY_OUT),
        trust=Trust.TOOL,
        net=Net.REGISTRY,
        registry="npm",
        cwd="/p",
        mounts=FETCH_MOUNTS,
        outputs=(
            Output(path=f"/p/{LOCK}", commit_to=LOCK, linter=linter),
            Output(path=f"/cache/{CACHE}", promote=CACHE),
        ),
        limits=limits,
        parser="npm-http",
    )


def _fetch_steps(project: NodeProject, lock: Lock, facts: HostFacts) -> tuple[Step, ...]:
    """Give one unpacking: out of the cache when it has everything, else from the registry."""
    key = fetch_key(lock, facts)
    fetch = _install_step(
        project,
        _FETCH,
        "Download packages",
        ("ci", "--prefer-offline", *_guards(project), *ONLY_WAY_OUT),
        skip_key=key,
        fallback=_MEND,
    )
    mend = _install_step(
        project,
        _MEND,
        "Download packages, leaving out what this registry has not",
        ("install", "--prefer-offline", *_guards(project), *ONLY_WAY_OUT),
        linter=f"{ADDITIONS_LINTER}{lock.digest()}",
    )
    if key not in facts.fetched:
        return (fetch, mend)
    offline = _install_step(
        project,
        _LAY_OUT,
        "Lay out packages",
        ("ci", "--offline", *_guards(project)),
        net=Net.NONE,
        fallback=_FETCH,
    )
    # A cache that someone emptied by half is no reason to fail: fetch after all.
    return (offline, fetch, mend)


def _install_step(
    project: NodeProject,
    name: StepId,
    title: str,
    command: tuple[str, ...],
    *,
    net: Net = Net.REGISTRY,
    skip_key: str = "",
    fallback: StepId | None = None,
    linter: str = "",
) -> Step:
    trees = ("", *(f"{path}/" for path in project.member_paths()))
    outputs = [
        Output(
            path=f"/p/{tree}node_modules",
            commit_to=f"{tree}node_modules",
            # Nothing is laid out where nothing is needed: optional packages of other systems alone.
            required=False,
        )
        for tree in trees
    ]
    if linter:
        outputs.append(Output(path=f"/p/{LOCK}", commit_to=LOCK, linter=linter))
    if net is Net.REGISTRY:
        outputs.append(Output(path=f"/cache/{CACHE}", promote=CACHE))
    assert project.lock is not None
    return Step(
        id=name,
        title=title,
        argv=(NODE, NPM, *command, "--loglevel=http"),
        trust=Trust.TOOL,
        net=net,
        registry="npm",
        cwd="/p",
        mounts=FETCH_MOUNTS,
        outputs=tuple(outputs),
        limits="fetch" if net is Net.REGISTRY else "materialise",
        parser="npm-http",
        expected=sum(1 for entry in project.lock.packages() if _is_fetched(entry)),
        fallback=fallback,
        skip_key=skip_key,
    )


def _is_fetched(entry: LockEntry) -> bool:
    # Optional packages of another system are listed and not fetched; the processor is not known here.
    return not entry.bundled and (not entry.systems or "linux" in entry.systems)


def _script_steps(lock: Lock) -> tuple[Step, ...]:
    """Give the install scripts of dependencies: project code from here on, and no network."""
    scripted = [e for e in lock.packages() if e.has_install_script and _is_fetched(e)]
    needed = sorted({_placed(e) for e in scripted if not e.optional})
    spare = sorted({_placed(e) for e in scripted if e.optional} - set(needed))
    steps = []
    for names, name, optional in (
        (needed, "install-scripts", False),
        (spare, "optional-install-scripts", True),
    ):
        if names:
            steps.append(
                Step(
                    id=StepId(name),
                    title=f"Run install scripts of {', '.join(names[:8])}",
                    argv=(
                        NODE,
                        NPM,
                        "rebuild",
                        "--offline",
                        "--foreground-scripts",
                        # npm 12 runs none of them unless told; what contains them is the jar.
                        "--dangerously-allow-all-scripts",
                        "--",
                        *names,
                    ),
                    trust=Trust.PROJECT,
                    env=install_environment(),
                    mounts=(PROJECT,),
                    limits="rebuild",
                    optional=optional,
                    parser="build",
                )
            )
    return tuple(steps)


def _placed(entry: LockEntry) -> str:
    name = entry.path.rpartition("node_modules/")[2]
    if name.startswith(("@node/", "@npm/")):
        # In an argv these begin a reference to a toolchain, and there is no other way to write them.
        raise CannotPlan(entry.path, "install scripts of a package of this scope cannot be run")
    return name


def _root_scripts(project: NodeProject) -> tuple[Step, ...]:
    scripts = project.manifest.scripts
    chosen = [name for name in _ROOT_SCRIPTS if name in scripts]
    if "install" in chosen:
        chosen = [name for name in chosen if name not in ("preinstall", "postinstall")]
    return tuple(
        Step(
            id=StepId(f"script-{name}"),
            title=f"Run the project's {name} script",
            argv=(NODE, NPM, "run", name, "--foreground-scripts"),
            trust=Trust.PROJECT,
            env=install_environment(),
            mounts=(PROJECT,),
            limits="rebuild",
            # `prepare` readies a checkout for its author (hooks, above all): a build can do without.
            optional=name == "prepare",
            parser="build",
        )
        for name in chosen
    )


def _guards(project: NodeProject) -> tuple[str, ...]:
    # Only manifests of the project's own directories are in the projection: nothing to install from.
    directories = "root" if project.members else "none"
    return (*GUARDS, f"--allow-directory={directories}")


def _notes(project: NodeProject) -> tuple[str, ...]:
    notes = []
    if project.settings.left_out:
        names = ", ".join(project.settings.left_out[:20])
        notes.append(f"fetch steps do not follow these settings of the project's .npmrc: {names}")
    if project.other_locks and project.lock is None:
        notes.append(f"{', '.join(project.other_locks)} is not read: npm chooses the versions anew")
    return tuple(notes)
