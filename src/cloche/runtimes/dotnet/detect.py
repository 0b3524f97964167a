"""Recognising a .NET project from its files alone."""

from cloche.errors import ClocheError
from cloche.runtimes.dotnet.source import find_target, read_source
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import Detection

_NEWEST = "9999.0.000"
"""Which SDK there is does not matter here."""


def detect_dotnet(view: ProjectView) -> Detection | None:
    """Say what kind of .NET project this is; None when there is no solution and no project."""
    try:
        found = find_target(view)
        if found is None:
            return None
        source = read_source(view, _NEWEST)
    except ClocheError as problem:
        # It is ours, though broken: the verbs will say how.
        return Detection(
            runtime_id="dotnet", stack="unreadable", confidence=0.4, evidence=(str(problem),)
        )
    kinds = {
        "desktop (needs Windows' packs)": any(p.is_desktop for p in source.projects),
        "web": any(p.is_web for p in source.projects),
        "worker": any(p.sdk == "Microsoft.NET.Sdk.Worker" for p in source.projects),
        "program": bool(source.programs),
    }
    stack = next((name for name, is_it in kinds.items() if is_it), "library")
    tests = (f"tests in {', '.join(p.name for p in source.tests[:5])}",) if source.tests else ()
    return Detection(
        runtime_id="dotnet",
        stack=stack,
        confidence=0.85,
        evidence=(f"{source.target} is there", f"projects: {len(source.projects)}", *tests),
    )
