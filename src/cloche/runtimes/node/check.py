"""Checks of the sources: the type checker and the linter that the project itself chose."""

from importlib.resources import files

from cloche.model.ids import StepId
from cloche.model.step import Access, Mount, Plan, Projection, Source, Step, Trust
from cloche.runtimes.node.frameworks import program_of
from cloche.runtimes.node.manifest import Manifest
from cloche.runtimes.node.vocabulary import NODE, PROJECT_TO_LOOK_AT, environment
from cloche.runtimes.project import ProjectView

# The compiler with an understanding of other files than TypeScript's comes before the plain one.
_CHECKERS = (("vue-tsc", "vue-tsc"), ("typescript", "tsc"))
_FORMATTER = "eslint-lines.cjs"
_LINT_CONFIGURATIONS = (
    "eslint.config.js",
    "eslint.config.mjs",
    "eslint.config.cjs",
    "eslint.config.ts",
)


def plan_validate(manifest: Manifest, view: ProjectView) -> Plan:
    """Plan the type checker, which must pass, and the linter, which may only warn."""
    steps = []
    projections: tuple[Projection, ...] = ()
    compiler = next((found for one in _CHECKERS if (found := program_of(view, *one))), "")
    configuration = view.read("tsconfig.json")
    if compiler and configuration is not None:
        # With references, plain tsc would look at the empty list of files of the root alone.
        mode = ("-b", "--noEmit") if b'"references"' in configuration else ("--noEmit",)
        steps.append(_check("types", "Check types", (compiler, *mode, "--pretty", "false"), "tsc"))
    linter = program_of(view, "eslint", "eslint")
    if linter and manifest.depends_on("eslint") and _has_any(view, _LINT_CONFIGURATIONS):
        content = files("cloche.runtimes.node").joinpath(_FORMATTER).read_bytes()
        projections = (Projection(ref="formatter", files={_FORMATTER: content}),)
        step = _check(
            "lint", "Lint", (linter, "-f", f"/formatter/{_FORMATTER}", "."), "eslint", optional=True
        )
        steps.append(step)
    notes = () if steps else ("the project has no type checker and no linter to ask",)
    return Plan(verb="validate", steps=tuple(steps), projections=projections, notes=notes)


def _check(
    name: str, title: str, arguments: tuple[str, ...], parser: str, *, optional: bool = False
) -> Step:
    mounts = [PROJECT_TO_LOOK_AT]
    if optional:
        mounts.append(
            Mount(
                target="/formatter",
                source=Source.PROJECTION,
                ref="formatter",
                access=Access.WRITE,
            )
        )
    return Step(
        id=StepId(name),
        title=title,
        argv=(NODE, *arguments),
        trust=Trust.PROJECT,
        env=environment(),
        mounts=tuple(mounts),
        limits="build",
        parser=parser,
        optional=optional,
    )


def _has_any(view: ProjectView, names: tuple[str, ...]) -> bool:
    return any(view.read(name) is not None for name in names)
