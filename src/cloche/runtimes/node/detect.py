"""Recognising a Node project from its files alone."""

from cloche.runtimes.node.frameworks import SERVERS, framework_of
from cloche.runtimes.node.manifest import Manifest, read_manifest
from cloche.runtimes.node.source import MANIFEST
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, Detection


def detect_node(view: ProjectView) -> Detection | None:
    """Say what kind of Node project this is; None when there is no package.json."""
    content = view.read(MANIFEST)
    if content is None:
        return None
    try:
        manifest = read_manifest(MANIFEST, content)
    except CannotPlan as problem:
        # It is ours, though broken: the verbs will say how.
        return Detection(
            runtime_id="node", stack="unreadable", confidence=0.5, evidence=(str(problem),)
        )
    stack, evidence = _stack(manifest)
    return Detection(
        runtime_id="node", stack=stack, confidence=0.9, evidence=(f"{MANIFEST} is there", *evidence)
    )


def _stack(manifest: Manifest) -> tuple[str, tuple[str, ...]]:
    language = ("typescript is a dependency",) if manifest.depends_on("typescript") else ()
    framework = framework_of(manifest)
    if framework is not None:
        return framework.stack, (f"{framework.package} is a dependency", *language)
    for name in SERVERS:
        if manifest.depends_on(name):
            return f"server ({name})", (f"{name} is a dependency", *language)
    return ("static", language) if not manifest.needs_packages() else ("node", language)
