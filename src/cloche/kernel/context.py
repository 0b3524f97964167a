"""What surrounds a run: the caller's terms, the options of a verb, and what comes back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cloche.capability.capability import Capability
from cloche.capability.constraint import least
from cloche.errors import InvalidValue
from cloche.model.conflicts import Conflicts
from cloche.model.event import ArtifactMade, ChangesCommitted, Denied, Event, Output
from cloche.model.hosts import HostRule, NetworkMode
from cloche.model.limits import Limits
from cloche.model.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSettings:
    """Where a kernel keeps things and what rules it follows; None means the user's own place."""

    policy: Path | None = None
    """A policy file; without one, the user's, else the built-in default."""
    state_home: Path | None = None
    cache_home: Path | None = None
    queue_home: Path | None = None
    """Where the user's runs queue for the machine: the same for all of them, also where `state_home` differs."""
    budget_bytes: int | None = None
    """What all sandboxes of the user may hold at once, as far as this kernel is concerned; lowers the policy's."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The user's environment: read for tool configuration only, never handed on whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a person may choose for one run. Nothing here can widen the policy."""

    memory_bytes: int | None = None
    cpu_percent: int | None = None
    processes: int | None = None
    timeout_seconds: float | None = None
    network: tuple[str, ...] = ()
    """Empty: none. ("registries",): the registries of the user's tools. Else hosts, each with an optional port."""
    keep: bool = False
    """Commit whatever the outcome."""
    discard: bool = False
    """Never commit."""
    hold: bool = False
    """Do not commit yet: hold what the run did until `Project.commit` or `Project.discard`."""
    conflicts: Conflicts = Conflicts.ABORT
    """What becomes of files that the user changed meanwhile."""
    check_reads: bool = False
    """Commit only when nothing in the project was changed meanwhile that the run may have read."""
    fresh: bool = False
    """Have `ship` use nothing that earlier runs left: no steps of one that failed, nothing that builds keep."""
    port: int = 0
    """Host port of a preview; 0 lets the system choose."""
    wait_seconds: float | None = None
    """How long the run may wait for its project, and each step for its share of the machine; 0: not at all, None: as long as it takes."""
    stdin: Callable[[], bytes] | None = None
    """Reads the next bytes for standard input, b"" at the end; called in a thread of its own."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise InvalidValue("port", self.port, "0 to 65535")
        if not isinstance(self.conflicts, Conflicts):
            # The text of a choice would meet none of the cases, and an edit be overruled unseen.
            raise InvalidValue("conflicts", self.conflicts, "one of Conflicts")
        if self.wait_seconds is not None and not self.wait_seconds >= 0:
            raise InvalidValue("wait_seconds", self.wait_seconds, "0 or more")
        if self.hold and self.discard:
            raise InvalidValue("hold", self.hold, "not together with discard")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionContext:
    """The terms under which steps run; every field narrows what the policy allows, none widens it."""

    capabilities: tuple[Capability, ...]
    project_root: Path
    allowed_paths: tuple[str, ...]
    """Globs, as in a policy, of what a commit may touch; the policy's rules hold as well."""
    network_policy: NetworkMode
    """NONE: no step reaches anything, a fetch neither. RESTRICTED: registries and named hosts."""
    max_memory_bytes: int | None
    max_cpu_percent: int | None
    timeout_seconds: float | None
    """Of each step."""
    on_progress: Callable[[Event], None] | None = None
    """Called with every event but output, as it happens. What it raises ends the run."""
    on_log: Callable[[str, bytes], None] | None = None
    """Called with (stream, bytes) of what steps print. Hostile bytes: escape before showing."""
    max_processes: int | None = None
    hosts: tuple[HostRule, ...] = ()
    """Hosts a person named for this run."""

    @classmethod
    def full(cls, project_root: Path) -> "ExecutionContext":
        """Give the terms of the user's own runs: the policy alone decides."""
        return cls(
            capabilities=Capability.full_set(),
            project_root=project_root,
            allowed_paths=("**",),
            network_policy=NetworkMode.RESTRICTED,
            max_memory_bytes=None,
            max_cpu_percent=None,
            timeout_seconds=None,
        )

    def within(self, options: "RunOptions", hosts: tuple[HostRule, ...]) -> "ExecutionContext":
        """Give the stricter of these terms and `options`, with the `hosts` they name."""
        return replace(
            self,
            max_memory_bytes=least(self.max_memory_bytes, options.memory_bytes),
            max_cpu_percent=least(self.max_cpu_percent, options.cpu_percent),
            timeout_seconds=least(self.timeout_seconds, options.timeout_seconds),
            max_processes=least(self.max_processes, options.processes),
            hosts=hosts,
        )

    def observe(self, event: Event) -> None:
        """Hand `event` to the caller's callback for its kind."""
        if isinstance(event, Output):
            if self.on_log is not None:
                self.on_log(event.stream, event.data)
        elif self.on_progress is not None:
            self.on_progress(event)

    def narrowed(self, limits: Limits) -> Limits:
        """Give `limits` with this context's own ceilings applied."""
        ceilings = {
            "memory_bytes": self.max_memory_bytes,
            "cpu_percent": self.max_cpu_percent,
            "wall_seconds": self.timeout_seconds,
            "processes": self.max_processes,
        }
        chosen = {k: min(v, getattr(limits, k)) for k, v in ceilings.items() if v is not None}
        return replace(limits, **chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a verb came to."""

    verb: str
    outcome: str
    exit_status: int
    seconds: float
    artifact: ArtifactMade | None = None
    """The package, when one was made and no other."""
    artifacts: tuple[ArtifactMade, ...] = ()
    """All packages: one of each part."""
    committed: ChangesCommitted | None = None
    held: str = ""
    """The transaction that is held in place of a commit, if one is."""
    denials: tuple[Denied, ...] = ()
    containment: Mapping[str, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)
    """Step id to the rows of its enforcement report."""
    trials: Mapping[str, tuple[Trial, ...]] = field(default_factory=dict)
    """Step id to what was tried inside before its program started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaffoldResult:
    """A new project: where, and of how many files."""

    path: Path
    files: int
