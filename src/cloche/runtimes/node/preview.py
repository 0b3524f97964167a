"""The development server: one process, one fixed port inside its own network namespace."""

from cloche.model.ids import StepId
from cloche.model.step import Net, Plan, Probe, Step, Trust
from cloche.runtimes.node.frameworks import HOST, PORT, Framework, framework_of, program_of
from cloche.runtimes.node.manifest import Manifest
from cloche.runtimes.node.script import read_script, without_options
from cloche.runtimes.node.vocabulary import HOST as LOOPBACK
from cloche.runtimes.node.vocabulary import NODE, NPM, PROJECT, environment
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan

_SCRIPTS = ("dev", "start:dev", "develop", "serve", "start")
_PORT = 3000


def plan_preview(manifest: Manifest, view: ProjectView) -> Plan:
    """Plan the development server. Raises CannotPlan when the project names none."""
    script = next((name for name in _SCRIPTS if name in manifest.scripts), "")
    framework = framework_of(manifest)
    if framework is not None:
        program = program_of(view, framework.package, framework.command)
        own = _own_arguments(manifest.scripts.get(script, ""), framework)
        if program and own is not None:
            argv = (NODE, program, *_filled(framework), *own)
            return Plan(verb="preview", steps=(_serve(argv, framework.port),))
    if not script:
        raise CannotPlan(
            manifest.path, "it has no development server", 'add a "dev" or "start" script'
        )
    # Servers written by hand follow PORT by convention.
    return Plan(verb="preview", steps=(_serve((NODE, NPM, "run", script), _PORT),))


def _own_arguments(line: str, framework: Framework) -> tuple[str, ...] | None:
    """Give the project's own arguments; None when its script does more than start the framework."""
    if not line:
        return ()
    command = read_script(line)
    if command is None or command.program != framework.command:
        return None
    words = without_options(command.arguments, framework.options)
    return words[1:] if words and words[0] in ("dev", "serve", "start", "develop") else words


def _filled(framework: Framework) -> tuple[str, ...]:
    values = {HOST: LOOPBACK, PORT: str(framework.port)}
    return tuple(values.get(word, word) for word in framework.serve)


def _serve(argv: tuple[str, ...], port: int) -> Step:
    return Step(
        id=StepId("preview"),
        title="Development server",
        argv=argv,
        trust=Trust.PROJECT,
        net=Net.INBOUND,
        env=environment(PORT=str(port), HOST=LOOPBACK, HOSTNAME=LOOPBACK),
        mounts=(PROJECT,),
        limits="preview",
        parser="build",
        probe=Probe(port=port),
    )
