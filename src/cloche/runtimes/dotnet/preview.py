"""The web application as it was built, on one fixed port inside its own network namespace."""

from posixpath import dirname

from cloche.model.ids import StepId
from cloche.model.step import Net, Plan, Probe, Step, Trust
from cloche.runtimes.dotnet.source import Project, Source
from cloche.runtimes.dotnet.vocabulary import BUILT, DOTNET, HOST, PROJECT, built, environment
from cloche.runtimes.provider import CannotPlan, HostFacts

PORT = 5000


def plan_preview(source: Source, facts: HostFacts) -> Plan:
    """Plan the service of what the last build left. Raises CannotPlan where nothing serves."""
    project = web_project(source)
    if project is None:
        raise CannotPlan(
            source.target,
            "no project in it serves",
            'a web project has Sdk="Microsoft.NET.Sdk.Web"',
        )
    step = Step(
        id=StepId("preview"),
        title=f"Serve {project.name}",
        argv=(DOTNET, f"{BUILT}/bin/{project.name}/{_flavour(project)}/{project.assembly}.dll"),
        trust=Trust.PROJECT,
        net=Net.INBOUND,
        cwd=f"/project/{dirname(project.path)}".rstrip("/"),
        env=environment(
            ASPNETCORE_URLS=f"http://{HOST}:{PORT}", ASPNETCORE_ENVIRONMENT="Development"
        ),
        mounts=(PROJECT, built(source, facts)),
        limits="preview",
        parser="msbuild",
        probe=Probe(port=PORT),
    )
    return Plan(verb="preview", steps=(step,))


def web_project(source: Source) -> Project | None:
    """Give the first project that serves."""
    return next((project for project in source.projects if project.is_web), None)


def _flavour(project: Project) -> str:
    """Give the directory below a project's name: configuration, framework of several, one runtime."""
    parts = ["release"]
    if project.properties.get("TargetFrameworks"):
        parts.append(project.frameworks[0])
    if runtime := project.properties.get("RuntimeIdentifier"):
        parts.append(runtime)
    return "_".join(parts)
