"""What a person tries out: the web service on a port of its own, or the program in their terminal."""

from cloche.model.ids import StepId
from cloche.model.step import Net, Plan, Probe, Step, Trust
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.runtimes.rust.build import build_key, cargo, compile_step
from cloche.runtimes.rust.detect import server_of
from cloche.runtimes.rust.source import MANIFEST, RustProject
from cloche.runtimes.rust.targets import Binary, binaries_of
from cloche.runtimes.rust.vocabulary import BUILDING, HOST, PORT, build_mounts


def plan_preview(project: RustProject, view: ProjectView, facts: HostFacts) -> Plan:
    """Plan to compile in the development profile, then to run. Raises CannotPlan when nothing can be run."""
    service = find_service(project, view)
    seen = service or _program(project, view)
    named = (f"--package={seen.package}", f"--bin={seen.name}")
    compiled = compile_step("compile", "Compile", ("build", *named), project, facts)
    step = Step(
        id=StepId("preview"),
        title="Development server" if service else f"Run {seen.name}",
        argv=cargo("run", "--quiet", *named, project=project, facts=facts),
        trust=Trust.PROJECT,
        net=Net.INBOUND if service else Net.NONE,
        env={**BUILDING, **(service_environment() if service else {})},
        mounts=build_mounts(build_key(project, facts)),
        limits="preview",
        probe=Probe(port=PORT) if service else None,
    )
    notes = ("edits are compiled at its next start",) if service else ()
    return Plan(verb="preview", steps=(compiled, step), notes=notes)


def _program(project: RustProject, view: ProjectView) -> Binary:
    found = [one for one in binaries_of(project.built(), view) if not one.gated]
    if not found:
        raise CannotPlan(MANIFEST, "it has no program to run", "a library is tried by its tests")
    chosen = {manifest.default_run for manifest in project.built()} - {""}
    preferred = [one for one in found if one.name in chosen] if len(found) > 1 else found
    if len(preferred) == 1:
        return preferred[0]
    names = ", ".join(one.name for one in found[:5])
    raise CannotPlan(MANIFEST, f"it has more than one program: {names}", "name one as default-run")


def find_service(project: RustProject, view: ProjectView) -> Binary | None:
    """Give the program that serves; None when none does. Raises CannotPlan when more than one may."""
    serving = tuple(manifest for manifest in project.built() if server_of(manifest))
    found = [binary for binary in binaries_of(serving, view) if not binary.gated]
    if len(found) < 2:
        return found[0] if found else None
    chosen = {manifest.default_run for manifest in serving} - {""}
    preferred = [binary for binary in found if binary.name in chosen]
    if len(preferred) == 1:
        return preferred[0]
    names = ", ".join(binary.name for binary in found[:5])
    raise CannotPlan(
        MANIFEST, f"more than one program may serve: {names}", "name one as default-run"
    )


def service_environment() -> dict[str, str]:
    """Give the variables by which services are told where to listen, by convention or by their framework."""
    return {
        "PORT": str(PORT),
        "HOST": HOST,
        "ROCKET_PORT": str(PORT),
        "ROCKET_ADDRESS": HOST,
        "RUST_LOG": "info",
    }
