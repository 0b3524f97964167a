"""Build and test: project code, no network."""

from cloche.model.ids import StepId
from cloche.model.step import Plan, Step, Trust
from cloche.runtimes.node.manifest import Manifest
from cloche.runtimes.node.vocabulary import NODE, NPM, PROJECT, environment
from cloche.runtimes.provider import CannotPlan

_PLACEHOLDER = "no test specified"
# What starters call it when they do not call it "build", the likeliest first.
_OTHER_NAMES = ("build:ts", "build:prod", "build:production", "build:all", "compile")


def plan_build(manifest: Manifest) -> Plan:
    """Plan the `build` script. Raises CannotPlan when there are sources that something must build."""
    name = build_script(manifest)
    if not name and manifest.workspaces:
        every = _script("build", "Build every member", "build", "--workspaces", "--if-present")
        return Plan(verb="build", steps=(every,))
    if not name:
        if manifest.depends_on("typescript") or manifest.depends_on("vite"):
            raise CannotPlan(
                manifest.path,
                "it has no build script",
                'add one, such as "build": "vite build" or "build": "tsc"',
            )
        return Plan(
            verb="build", steps=(), notes=("there is no build script: the sources are the build",)
        )
    notes = () if name == "build" else (f"there is no build script: {name} is run instead",)
    return Plan(verb="build", steps=(_script("build", "Build", name),), notes=notes)


def build_script(manifest: Manifest) -> str:
    """Give the name of the script that builds; "" when there is none."""
    return next((name for name in ("build", *_OTHER_NAMES) if name in manifest.scripts), "")


def plan_test(manifest: Manifest) -> Plan:
    """Plan the `test` script. Raises CannotPlan when there is none, or only npm's placeholder."""
    line = manifest.scripts.get("test", "")
    if not line or _PLACEHOLDER in line:
        raise CannotPlan(
            manifest.path, "it has no tests", 'add a script, such as "test": "node --test"'
        )
    return Plan(verb="test", steps=(_script("test", "Test", "test"),))


def _script(kind: str, title: str, name: str, *options: str) -> Step:
    return Step(
        id=StepId(kind),
        title=title,
        argv=(NODE, NPM, "run", name, *options),
        trust=Trust.PROJECT,
        env=environment(),
        mounts=(PROJECT,),
        limits=kind,
        parser="build",
    )
