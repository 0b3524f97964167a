"""The contract of a runtime: seven verbs, each answered with a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cloche.errors import ClocheError
from cloche.model.diagnostic import Diagnostic
from cloche.model.step import Plan
from cloche.runtimes.project import ProjectView, ToolTree
from cloche.runtimes.toolchain import CacheEntry, Toolchain, ToolchainNeed, UserConfig


class CannotPlan(ClocheError):
    """The project lacks something the verb needs, or holds something no plan may use."""

    code = "cannot-plan"
    exit_status = 105
    remedy = "Mend what the message names; nothing was changed in the project."

    def __init__(self, what: str, why: str, mend: str = "") -> None:
        super().__init__(f"{what}: {why}{f' ({mend})' if mend else ''}")
        self.what, self.why, self.mend = what, why, mend


class LintRefused(ClocheError):
    """A manifest or lock asks for something a fetch step may not do; every reason is kept."""

    code = "lint-refused"
    exit_status = 106
    remedy = "Depend on registry packages with an integrity digest, or remove the named entries."

    def __init__(self, name: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"{name} is refused", reasons)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a project is, with the evidence; made from data alone."""

    runtime_id: str
    stack: str
    confidence: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An application to begin with: data only, copied by the kernel."""

    name: str
    summary: str
    files: Mapping[str, bytes]
    """Relative path to content; "{{name}}" stands for the project's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFacts:
    """What the user's own tool configuration says about a registry; hosts are never written here."""

    urls: tuple[str, ...]
    """Registry addresses, default first, then scoped ones."""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a discovery step came to."""

    output: bytes
    """What it printed on standard output."""
    errors: bytes = b""
    """What it printed on standard error."""
    exit_status: int = 0
    """Not 0 only for an optional step."""
    asked: tuple[str, ...] = ()
    """Hosts that it asked for and may not reach yet, in that order: "NAME", or "NAME:PORT" where it came to that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the kernel knows and a planner needs: values only."""

    toolchains: Mapping[str, Toolchain]
    registry: RegistryFacts | None = None
    fetched: frozenset[str] = frozenset()
    """Skip keys recorded in the caches: what need not be fetched again."""
    epoch: int = 0
    """SOURCE_DATE_EPOCH of the run, seconds."""
    offline: bool = False
    """The run has no network: what only a cache can answer is asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a parser made of one line: any part may be empty."""

    diagnostics: tuple[Diagnostic, ...] = ()
    done: int = 0
    """Units of progress this line adds."""
    total: int = 0
    """How many units there are, where the tool says so; 0 when this line does not."""
    label: str = ""


class OutputParser(Protocol):
    """Reads one step's output, line by line. Pure but for its own memory; bounded."""

    def line(self, stream: str, text: str) -> Reading:
        """Take one line, already stripped of control bytes and cut to 8 KiB."""
        ...

    def end(self, exit_status: int) -> Reading:
        """Say what only the end shows."""
        ...


class RuntimeProvider(Protocol):
    """One runtime. A pure planner: it opens no file, no socket, no process."""

    api: str
    runtime_id: str
    supported_platforms: frozenset[str]
    toolchains: tuple[ToolchainNeed, ...]
    caches: tuple[str, ...]
    """Names of the shared caches that its steps mount."""
    user_config: UserConfig
    trees: tuple[ToolTree, ...]
    """What its tools make in a project."""

    def detect(self, view: ProjectView) -> Detection | None:
        """Say whether this is a project of the runtime; None when not."""
        ...

    def templates(self) -> tuple[Template, ...]:
        """Give what `scaffold` offers."""
        ...

    def asks_registry(self, verb: str, view: ProjectView, facts: HostFacts) -> bool:
        """Tell whether planning `verb` takes what is known of the user's registry; it is not learned otherwise."""
        ...

    def discovery(self, facts: HostFacts) -> Plan | None:
        """Give the one TOOL step that asks the tool for the user's registries, outside the project.

        It is asked again with what was learned in `facts`; None: that is all there is to know.
        """
        ...

    def read_discovery(self, answer: Answer, facts: HostFacts) -> RegistryFacts:
        """Say what is known now. Raises CannotPlan for an answer that makes no sense."""
        ...

    def scaffold(self, template: str, name: str) -> Mapping[str, bytes]:
        """Give the files of a new project. Raises CannotPlan for an unknown template or bad name."""
        ...

    def resolve_dependencies(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan lock, fetch, materialise, install scripts."""
        ...

    def build(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the build."""
        ...

    def test(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the project's own tests."""
        ...

    def preview(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the development server: its step comes last; or a program, whose step has no probe."""
        ...

    def package(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the package: `Plan.artifact` says what goes in; `view` shows the built tree."""
        ...

    def validate(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan checks of sources (type checker, linter); the package itself is checked by the kernel."""
        ...

    def destroy(self, view: ProjectView) -> tuple[str, ...]:
        """Name the project-relative paths that this runtime's tools made and can make again."""
        ...

    def lint(self, linter: str, content: bytes, facts: HostFacts) -> None:
        """Judge bytes that came out of a step, by the linter an Output names. Raises LintRefused."""
        ...

    def parser(self, name: str) -> OutputParser:
        """Give a fresh parser."""
        ...

    def cached(self, cache: str, path: str, digests: Mapping[str, str]) -> CacheEntry | None:
        """Say what a file of a shared cache must be; None when it is not kept. `digests` are the Output's."""
        ...
