"""The web service in its development profile: compiled and started, on a port of its own."""

from cloche.model.ids import StepId
from cloche.model.step import Net, Plan, Probe, Step, Trust
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.runtimes.rust.build import build_key, cargo
from cloche.runtimes.rust.detect import server_of
from cloche.runtimes.rust.source import MANIFEST, RustProject
from cloche.runtimes.rust.targets import Binary, binaries_of
from cloche.runtimes.rust.vocabulary import BUILDING, HOST, PORT, build_mounts

# Nothing listens before it is compiled, and that may take its time.
_READY_SECONDS = 1200.0


def plan_preview(project: RustProject, view: ProjectView, facts: HostFacts) -> Plan:
    """Plan the service. Raises CannotPlan when there is none, or more than one."""
    service = find_service(project, view)
    if service is None:
        raise CannotPlan(
            MANIFEST,
            "it has no web service to preview",
            "run the program itself: cloche run -- target/release/NAME",
        )
    step = Step(
        id=StepId("preview"),
        title="Development server",
        argv=cargo(
            "run",
            f"--package={service.package}",
            f"--bin={service.name}",
            project=project,
            facts=facts,
        ),
        trust=Trust.PROJECT,
        net=Net.INBOUND,
        env={**BUILDING, **service_environment()},
        mounts=build_mounts(build_key(project, facts)),
        limits="preview",
        parser="cargo",
        probe=Probe(port=PORT, ready_seconds=_READY_SECONDS),
    )
    return Plan(verb="preview", steps=(step,), notes=("edits are compiled at its next start",))


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
