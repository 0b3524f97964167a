"""A program as it runs, built first: a web application on one fixed port of its own, else its terminal."""

from posixpath import dirname

from cloche.model.ids import StepId
from cloche.model.step import Net, Plan, Probe, Step, Trust
from cloche.runtimes.dotnet.build import plan_build
from cloche.runtimes.dotnet.source import Project, Source
from cloche.runtimes.dotnet.vocabulary import BUILT, DOTNET, HOST, PROJECT, built, environment
from cloche.runtimes.provider import CannotPlan, HostFacts

PORT = 5000


def plan_preview(source: Source, facts: HostFacts) -> Plan:
    """Plan the build, then the first program that serves, else the first program.

    Raises CannotPlan where there is nothing to start.
    """
    project = next((p for p in source.projects if p.is_web), None)
    served = project is not None
    project = project or next(iter(source.programs), None)
    if project is None:
        raise CannotPlan(
            source.target,
            "no project in it is a program",
            'a web project has Sdk="Microsoft.NET.Sdk.Web", a program <OutputType>Exe</OutputType>',
        )
    urls = {"ASPNETCORE_URLS": f"http://{HOST}:{PORT}"} if served else {}
    step = Step(
        id=StepId("preview"),
        title=f"{'Serve' if served else 'Run'} {project.name}",
        argv=(DOTNET, f"{BUILT}/bin/{project.name}/{_flavour(project)}/{project.assembly}.dll"),
        trust=Trust.PROJECT,
        net=Net.INBOUND if served else Net.NONE,
        cwd=f"/project/{dirname(project.path)}".rstrip("/"),
        env=environment(
            ASPNETCORE_ENVIRONMENT="Development", DOTNET_ENVIRONMENT="Development", **urls
        ),
        mounts=(PROJECT, built(source, facts)),
        limits="preview",
        parser="msbuild",
        probe=Probe(port=PORT) if served else None,
    )
    notes = ("edits are built at its next start",)
    return Plan(verb="preview", steps=(*plan_build(source, facts).steps, step), notes=notes)


def _flavour(project: Project) -> str:
    """Give the directory below a project's name: configuration, framework of several, one runtime."""
    parts = ["release"]
    if project.properties.get("TargetFrameworks"):
        parts.append(project.frameworks[0])
    if runtime := project.properties.get("RuntimeIdentifier"):
        parts.append(runtime)
    return "_".join(parts)
