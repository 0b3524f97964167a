"""What is delivered: programs published, or else libraries packed."""

import base64
import binascii

from cloche.model.ids import StepId
from cloche.model.step import (
    Access,
    ArtifactSpec,
    Component,
    Mount,
    Net,
    Output,
    Plan,
    Probe,
    Step,
    Trust,
)
from cloche.model.step import Source as From
from cloche.runtimes.dotnet.lock import component, components_of_locks
from cloche.runtimes.dotnet.preview import PORT
from cloche.runtimes.dotnet.source import Project, Source
from cloche.runtimes.dotnet.vocabulary import (
    ARTIFACTS,
    DOTNET,
    HOST,
    PROJECT,
    QUIET,
    built,
    environment,
    properties_of,
)
from cloche.runtimes.json_object import read_object
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, HostFacts

PUBLISHED = "artifacts/publish"
_OUT = "/published"
_AT = "/package"
_LIBRARIES = "libraries"
_MOST = 4 << 20


def plan_package(source: Source, view: ProjectView, facts: HostFacts) -> Plan:
    """Plan the publishing, and say what goes in: asked again when it is done, the components too."""
    programs = [(p, runtime) for p in source.programs for runtime in p.runtimes or ("",)]
    steps = [_publish(source, project, runtime, facts) for project, runtime in programs]
    names = [_place(project, runtime) for project, runtime in programs]
    if programs:
        libraries = [project for project in source.projects if project.is_package]
        steps += [_pack(source, p.path, p.name, facts) for p in libraries]
        names += [project.name for project in libraries]
    else:
        steps, names = [_pack(source, source.target, _LIBRARIES, facts)], [_LIBRARIES]
    return Plan(
        verb="package",
        steps=tuple(steps),
        artifact=ArtifactSpec(
            name=source.name,
            version=_version(source),
            include=tuple(f"{PUBLISHED}/{name}" for name in names),
            components=components_of_locks(source.locks) or _published(source, view),
            serve=_serve(source),
        ),
        again=True,
    )


def _version(source: Source) -> str:
    told = (p.properties.get(k, "") for p in source.projects for k in ("Version", "VersionPrefix"))
    return next((text for text in told if text), "1.0.0")


def _place(project: Project, runtime: str) -> str:
    return f"{project.name}-{runtime}" if len(project.runtimes) > 1 else project.name


def _publish(source: Source, project: Project, runtime: str, facts: HostFacts) -> Step:
    if len(project.frameworks) > 1:
        raise CannotPlan(
            project.path,
            "a program of several target frameworks is not published",
            "choose one TargetFramework",
        )
    place = _place(project, runtime)
    chosen = ("-r", runtime) if runtime else ()
    return _step(
        _name("publish", place),
        f"Publish {place}",
        (
            "publish",
            f"/project/{project.path}",
            *chosen,
            "-o",
            f"{_OUT}/{place}",
            *properties_of(source),
        ),
        Output(path=f"{_OUT}/{place}", commit_to=f"{PUBLISHED}/{place}"),
        built(source, facts),
    )


def _pack(source: Source, path: str, place: str, facts: HostFacts) -> Step:
    return _step(
        _name("pack", place),
        f"Pack {place}",
        ("pack", f"/project/{path}", "--no-build", "-o", f"{_OUT}/{place}", *properties_of(source)),
        Output(path=f"{_OUT}/{place}", commit_to=f"{PUBLISHED}/{place}"),
        built(source, facts),
    )


def _name(verb: str, place: str) -> str:
    return f"{verb}-{place}".lower().replace(".", "-")


def _step(
    name: str,
    title: str,
    words: tuple[str, ...],
    output: Output,
    kept: Mount,
) -> Step:
    return Step(
        id=StepId(name),
        title=title,
        argv=(DOTNET, *words, "--no-restore", "-c", "Release", ARTIFACTS, *QUIET),
        trust=Trust.PROJECT,
        env=environment(),
        mounts=(PROJECT, kept, Mount(target=_OUT, source=From.SCRATCH, access=Access.WRITE)),
        outputs=(output,),
        limits="compile",
        parser="msbuild",
    )


def _serve(source: Source) -> Step | None:
    """Give how a web application is started from the package; None where nothing serves."""
    for project in source.programs:
        # What is for another system cannot be tried on this one.
        runtime = next((r for r in project.runtimes or ("",) if r in ("", "linux-x64")), None)
        if not project.is_web or runtime is None:
            continue
        place = f"{_AT}/{PUBLISHED}/{_place(project, runtime)}"
        one_file = project.properties.get("PublishSingleFile", "").lower() == "true"
        program = f"{place}/{project.assembly}"
        # The SDK's own program does not start what brings its runtime along.
        itself = one_file or project.is_self_contained
        argv = (program,) if itself else (DOTNET, f"{program}.dll")
        return Step(
            id=StepId("serve-package"),
            title="Start the package",
            argv=argv,
            trust=Trust.PROJECT,
            net=Net.INBOUND,
            cwd=place,
            env=environment(ASPNETCORE_URLS=f"http://{HOST}:{PORT}"),
            mounts=(Mount(target=_AT, source=From.PACKAGE),),
            limits="preview",
            parser="msbuild",
            probe=Probe(port=PORT),
        )
    return None


def _published(source: Source, view: ProjectView) -> tuple[Component, ...]:
    """Give the packages that the published programs say they are made of."""
    found: dict[tuple[str, str], Component] = {}
    for project in source.programs:
        for runtime in project.runtimes or ("",):
            name = f"{PUBLISHED}/{_place(project, runtime)}/{project.assembly}.deps.json"
            content = view.read(name, limit=_MOST)
            libraries = read_object(name, content).get("libraries") if content is not None else None
            for key, value in libraries.items() if isinstance(libraries, dict) else ():
                if isinstance(value, dict) and value.get("type") == "package":
                    package, _, version = key.partition("/")
                    found[package, version] = component(
                        package, version, _hexadecimal(value.get("sha512"))
                    )
    return tuple(found[key] for key in sorted(found))


def _hexadecimal(text: object) -> str:
    if not isinstance(text, str) or not text.startswith("sha512-"):
        return ""
    try:
        return base64.b64decode(text.removeprefix("sha512-"), validate=True).hex()
    except (ValueError, binascii.Error):
        return ""
