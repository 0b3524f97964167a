"""What a package is made of: the release programs and what they read, or a library's crate."""

from cloche.model.ids import StepId
from cloche.model.step import (
    ArtifactSpec,
    Mount,
    Net,
    Output,
    Plan,
    Probe,
    Source,
    Step,
    Trust,
)
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.runtimes.rust.build import build_key, cargo, committed
from cloche.runtimes.rust.components import components_of
from cloche.runtimes.rust.manifest import Manifest
from cloche.runtimes.rust.preview import find_service, service_environment
from cloche.runtimes.rust.source import LOCK, MANIFEST, RustProject
from cloche.runtimes.rust.targets import Binary, binaries_of, has_library
from cloche.runtimes.rust.vocabulary import BUILDING, BUILT, PORT, build_mounts

_AT = "/package"
# Directories that a service may read at run time, besides itself.
_COMPANIONS = ("static", "public", "assets", "templates", "migrations")
_PAPERS = ("README*", "LICENSE*", "LICENCE*", "COPYING*", "UNLICENSE*", "NOTICE*")


def plan_package(project: RustProject, view: ProjectView, facts: HostFacts) -> Plan:
    """Plan the package of a built project. Raises CannotPlan when nothing is built."""
    if project.lock is None:
        raise CannotPlan(LOCK, "it is not there", "resolve first")
    binaries = [b for b in binaries_of(project.built(), view) if _is_built(b, project, view)]
    if binaries:
        return _programs(tuple(binaries), project, view)
    if any(not binary.gated for binary in binaries_of(project.built(), view)):
        raise CannotPlan(MANIFEST, "its programs are not built", "build first")
    return _library(project, view, facts)


def _is_built(binary: Binary, project: RustProject, view: ProjectView) -> bool:
    return bool(view.names(committed(binary, project), limit=1))


def _programs(binaries: tuple[Binary, ...], project: RustProject, view: ProjectView) -> Plan:
    main = _main(binaries, project)
    service = find_service(project, view)
    places = [committed(binary, project) for binary in binaries]
    companions = _there(_COMPANIONS, view) if service is not None else ()
    return Plan(
        verb="package",
        steps=(),
        artifact=_spec(
            main,
            project,
            include=(*places, *companions, *_papers(view)),
            serve=_serve(committed(service, project)) if service is not None else None,
        ),
    )


def _main(binaries: tuple[Binary, ...], project: RustProject) -> Manifest:
    """Give the package that names the whole: the root's, else that of the first program."""
    if project.root.is_package:
        return project.root
    return next(one for one in project.packages if one.name == binaries[0].package)


def _library(project: RustProject, view: ProjectView, facts: HostFacts) -> Plan:
    libraries = [one for one in project.built() if has_library(one, view)]
    if not libraries:
        raise CannotPlan(MANIFEST, "it has neither a program nor a library")
    main = project.root if project.root.is_package else libraries[0]
    if any(d.path and not d.has_version for d in main.dependencies):
        # No registry would take it: what it needs is known by its place alone.
        sources = (*_sources(main), *_papers(view))
        return Plan(verb="package", steps=(), artifact=_spec(main, project, include=sources))
    place = f"target/package/{main.name}-{main.version}.crate"
    step = Step(
        id=StepId("crate"),
        title="Pack the library",
        argv=cargo(
            "package", "--no-verify", "--allow-dirty", f"--package={main.name}",
            project=project, facts=facts,
        ),
        trust=Trust.PROJECT,
        env=BUILDING,
        mounts=build_mounts(build_key(project, facts)),
        outputs=(Output(path=f"{BUILT}/package/{main.name}-{main.version}.crate", commit_to=place),),
        limits="package",
        parser="cargo",
    )  # fmt: skip
    return Plan(verb="package", steps=(step,), artifact=_spec(main, project, include=(place,)))


def _sources(main: Manifest) -> tuple[str, ...]:
    at = f"{main.directory}/" if main.directory else ""
    return (f"{at}src", f"{at}{MANIFEST}", LOCK)


def _spec(
    main: Manifest, project: RustProject, *, include: tuple[str, ...], serve: Step | None = None
) -> ArtifactSpec:
    assert project.lock is not None
    return ArtifactSpec(
        name=main.name,
        version=main.version,
        include=include,
        components=components_of(project.lock),
        serve=serve,
    )


def _papers(view: ProjectView) -> tuple[str, ...]:
    return tuple(name for glob in _PAPERS for name in view.names(glob) if "/" not in name)


def _there(names: tuple[str, ...], view: ProjectView) -> tuple[str, ...]:
    return tuple(name for name in names if view.names(f"{name}/*", limit=1))


def _serve(program: str) -> Step:
    return Step(
        id=StepId("serve-package"),
        title="Start the package",
        argv=(f"{_AT}/{program}",),
        trust=Trust.PROJECT,
        net=Net.INBOUND,
        cwd=_AT,
        env=service_environment(),
        mounts=(Mount(target=_AT, source=Source.PACKAGE),),
        limits="preview",
        probe=Probe(port=PORT),
    )
