"""Build and test: project code, no network, and what was compiled kept outside of the project."""

from hashlib import sha256

from cloche.model.ids import StepId
from cloche.model.step import Output, Plan, Step, Trust
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.runtimes.rust.checked import insist_on_checked
from cloche.runtimes.rust.discovery import INDEX
from cloche.runtimes.rust.source import LOCK, RustProject
from cloche.runtimes.rust.targets import Binary, binaries_of
from cloche.runtimes.rust.vocabulary import BUILDING, BUILT, CARGO, build_mounts

# Artifacts as JSON on standard output, one short line a unit; diagnostics as rustc itself writes them
# on standard error. As JSON they would be lines of many KiB, most of it the explanation of the error's
# code, and no person could read the log.
MESSAGES = "--message-format=json-render-diagnostics"
RELEASE = "target/release"
"""Where programs are committed to: where cargo itself would have put them."""


def plan_build(project: RustProject, view: ProjectView, facts: HostFacts) -> Plan:
    """Plan the release build. Raises CannotPlan when nothing is locked."""
    binaries = binaries_of(project.built(), view)
    step = compile_step(
        "build",
        "Build",
        ("build", "--release"),
        project,
        facts,
        outputs=tuple(_output(binary, project) for binary in binaries),
    )
    notes = () if binaries else ("there is no program among the targets: it is a library",)
    return Plan(verb="build", steps=(step,), notes=notes)


def plan_test(project: RustProject, facts: HostFacts) -> Plan:
    """Plan the compilation of the tests, then their run. Raises CannotPlan when nothing is locked."""
    compiled = compile_step("compile-tests", "Compile tests", ("test", "--no-run"), project, facts)
    run = Step(
        id=StepId("test"),
        title="Test",
        argv=cargo("test", "--no-fail-fast", project=project, facts=facts),
        trust=Trust.PROJECT,
        env=BUILDING,
        mounts=build_mounts(build_key(project, facts)),
        limits="test",
        parser="cargo-test",
    )
    return Plan(verb="test", steps=(compiled, run))


def compile_step(
    name: str,
    title: str,
    command: tuple[str, ...],
    project: RustProject,
    facts: HostFacts,
    *,
    outputs: tuple[Output, ...] = (),
    optional: bool = False,
) -> Step:
    """Give a step that compiles and says so unit by unit."""
    return Step(
        id=StepId(name),
        title=title,
        argv=cargo(*command, MESSAGES, project=project, facts=facts),
        trust=Trust.PROJECT,
        env=BUILDING,
        mounts=build_mounts(build_key(project, facts)),
        outputs=outputs,
        limits="compile",
        parser="cargo",
        optional=optional,
    )


def cargo(*command: str, project: RustProject, facts: HostFacts) -> tuple[str, ...]:
    """Give a command of cargo that changes no lock and asks no registry. Raises CannotPlan without a lock."""
    if project.lock is None:
        raise CannotPlan(LOCK, "it is not there", "resolve first")
    if not project.settings.vendored:
        insist_on_checked(project.lock, project.target(), facts)
    index = facts.registry.settings.get(INDEX, "") if facts.registry is not None else ""
    replaced = (
        ("--config", 'source.crates-io.replace-with="learned"',
         "--config", f'source.learned.registry="{index}"')
        if index and not project.settings.vendored
        else ()
    )  # fmt: skip
    return (CARGO, command[0], "--frozen", *command[1:], *replaced)


def build_key(project: RustProject, facts: HostFacts) -> str:
    """Say what kept artifacts are good for: one lock, one toolchain."""
    lock = project.lock.digest() if project.lock is not None else ""
    return sha256(f"{lock} {facts.toolchains['rust'].digest}".encode()).hexdigest()[:32]


def release_directory(project: RustProject) -> str:
    """Give the place of finished programs in the kept directory."""
    target = project.target()
    return f"{BUILT}/{target}/release" if target else f"{BUILT}/release"


def committed(binary: Binary, project: RustProject) -> str:
    """Give the place of a finished program in the project."""
    return f"{RELEASE}/{binary.name}{'.exe' if 'windows' in project.target() else ''}"


def _output(binary: Binary, project: RustProject) -> Output:
    place = committed(binary, project)
    return Output(
        path=f"{release_directory(project)}/{place.rpartition('/')[2]}",
        commit_to=place,
        required=not binary.gated,
        executable=True,
    )
