"""Build and test: project code, no network, and what is made kept outside of the project."""

from cloche.model.ids import StepId
from cloche.model.step import Access, Mount, Output, Plan, Step, Trust
from cloche.model.step import Source as From
from cloche.runtimes.dotnet.source import Source
from cloche.runtimes.dotnet.vocabulary import (
    ARTIFACTS,
    DOTNET,
    PROJECT,
    QUIET,
    built,
    environment,
    properties_of,
)
from cloche.runtimes.provider import CannotPlan, HostFacts

_REPORTS = "/reports"


def plan_build(source: Source, facts: HostFacts) -> Plan:
    """Plan the build of everything in the solution."""
    # The compiler's server is worth its memory where it compiles more than once; it ends with the step.
    alone = ("-p:UseSharedCompilation=false",) if len(source.projects) == 1 else ()
    step = Step(
        id=StepId("build"),
        title="Build",
        argv=(
            DOTNET,
            "build",
            f"/project/{source.target}",
            "--no-restore",
            "-c",
            "Release",
            ARTIFACTS,
            *alone,
            *properties_of(source),
            *QUIET,
        ),
        trust=Trust.PROJECT,
        env=environment(),
        mounts=(PROJECT, built(source, facts)),
        limits="compile",
        parser="msbuild",
        expected=len(source.projects),
    )
    return Plan(verb="build", steps=(step,))


def plan_test(source: Source, facts: HostFacts) -> Plan:
    """Plan the tests, by VSTest over the step's own loopback. Raises CannotPlan where there are none."""
    if not source.tests:
        raise CannotPlan(
            source.target,
            "no project in it has tests",
            "add one: dotnet new xunit, with Microsoft.NET.Test.Sdk",
        )
    build = plan_build(source, facts).steps[0]
    step = Step(
        id=StepId("test"),
        title="Test",
        argv=(
            DOTNET,
            "test",
            f"/project/{source.target}",
            "--no-build",
            "-c",
            "Release",
            ARTIFACTS,
            "--logger=trx;LogFilePrefix=tests",
            "--logger=console;verbosity=normal",
            f"--results-directory={_REPORTS}",
            *properties_of(source),
            *QUIET,
        ),
        trust=Trust.PROJECT,
        env=environment(),
        mounts=(
            PROJECT,
            built(source, facts),
            Mount(target=_REPORTS, source=From.SCRATCH, access=Access.WRITE),
        ),
        outputs=(Output(path=_REPORTS, commit_to="TestResults", required=False),),
        limits="test",
        parser="vstest",
    )
    return Plan(verb="test", steps=(build, step))
