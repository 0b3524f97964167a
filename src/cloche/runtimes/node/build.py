"""Build and test: project code, no network."""

from cloche.model.ids import StepId
from cloche.model.step import Plan, Step, Trust
from cloche.runtimes.node.manifest import Manifest
from cloche.runtimes.node.vocabulary import NODE, NPM, PROJECT, environment
from cloche.runtimes.provider import CannotPlan

_PLACEHOLDER = "no test specified"


def plan_build(manifest: Manifest) -> Plan:
    """Plan the `build` script. Raises CannotPlan when there are sources that something must build."""
    if "build" not in manifest.scripts:
        if manifest.depends_on("typescript") or manifest.depends_on("vite"):
            raise CannotPlan(
                manifest.path,
                "it has no build script",
                'add one, such as "build": "vite build" or "build": "tsc"',
            )
        return Plan(
            verb="build", steps=(), notes=("there is no build script: the sources are the build",)
        )
    return Plan(verb="build", steps=(_script("build", "Build", "build"),))


def plan_test(manifest: Manifest) -> Plan:
    """Plan the `test` script. Raises CannotPlan when there is none, or only npm's placeholder."""
    line = manifest.scripts.get("test", "")
    if not line or _PLACEHOLDER in line:
        raise CannotPlan(
            manifest.path, "it has no tests", 'add a script, such as "test": "node --test"'
        )
    return Plan(verb="test", steps=(_script("test", "Test", "test"),))


def _script(name: str, title: str, limits: str) -> Step:
    return Step(
        id=StepId(name),
        title=title,
        argv=(NODE, NPM, "run", name),
        trust=Trust.PROJECT,
        env=environment(limits),
        mounts=(PROJECT,),
        limits=limits,
        parser="build",
    )
