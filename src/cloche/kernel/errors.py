"""What can end a run, as types."""

from dataclasses import dataclass

from cloche.errors import ClocheError


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing a step may not have: why, what it was, and the smallest change that would allow it."""

    reason: str
    tried: str
    change: str


class StepDenied(ClocheError):
    """Policy or capability refused a step before anything ran; every reason is kept."""

    code = "denied"
    exit_status = 77

    def __init__(self, step: str, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(f"step {step!r} is refused", tuple(refusal.reason for refusal in refusals))
        self.step, self.refusals = step, refusals
        changes = dict.fromkeys(refusal.change for refusal in refusals)
        self.remedy = f"To allow it: {'; '.join(changes)}."


class StepFailed(ClocheError):
    """A step's program ended with a failure of its own; the project is as it was."""

    code = "step-failed"
    exit_status = 113
    remedy = (
        "Read the diagnostics and the end of the log above; nothing was changed in the project."
    )

    def __init__(
        self, step: str, title: str, status: int, codes: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(f"{title} ({step}) ended with exit status {status}")
        self.step, self.title, self.status = step, title, status
        self.codes = codes  # of the diagnostics that were found


class NetworkWanted(StepFailed):
    """A step failed after it was refused a network that it has not; the project is as it was."""

    code = "network-wanted"
    exit_status = 109
    remedy = (
        "Only fetch steps have a network. Keep what the build downloads in the project, or turn"
        " the download off; nothing was changed in the project."
    )

    def __init__(self, failure: StepFailed, wanted: tuple[str, ...]) -> None:
        super().__init__(failure.step, failure.title, failure.status, failure.codes)
        ClocheError.__init__(self, f"{failure}; it wanted the network", wanted)
        self.wanted = wanted


class LimitBreached(ClocheError):
    """A step reached a ceiling and was stopped; the project is as it was."""

    code = "limit-breached"
    exit_status = 114
    remedy = (
        "Raise the limit in the policy, or by an option of `cloche run`, if the work is honest."
    )

    def __init__(self, step: str, limit: str, ceiling: float, detail: str) -> None:
        super().__init__(
            f"step {step!r} reached {limit} = {ceiling:.15g}{f' ({detail})' if detail else ''}"
        )
        self.step, self.limit, self.ceiling, self.detail = step, limit, ceiling, detail


class NoRuntime(ClocheError):
    """No provider knows what this directory is."""

    code = "no-runtime"
    exit_status = 115
    remedy = "Give the directory that holds package.json, or start one with `cloche scaffold`."

    def __init__(self, path: str) -> None:
        super().__init__(f"no runtime recognises {path}")
        self.path = path


class NoToolchain(ClocheError):
    """A runtime's tool is not on this machine, or too old."""

    code = "no-toolchain"
    exit_status = 116
    remedy = "Install it, or the extra of Cloche that brings one: pip install 'cloche[node]'."

    def __init__(self, name: str, wanted: str, found: str, advice: str = "") -> None:
        super().__init__(f"{name} {wanted} or newer is needed, found {found}")
        self.name, self.wanted, self.found = name, wanted, found
        if advice:
            self.remedy = advice


class InvariantBroken(ClocheError):
    """A provider's plan breaks a rule that no plan may break; nothing ran."""

    code = "invariant-broken"
    exit_status = 117
    remedy = "This is a fault of the provider; report it with the message."

    def __init__(self, step: str, rule: str, why: str) -> None:
        super().__init__(f"({rule}) step {step!r}: {why}")
        self.step, self.rule, self.why = step, rule, why


class NotReady(ClocheError):
    """A service did not answer in time, or ended first."""

    code = "not-ready"
    exit_status = 118
    remedy = (
        "Read its log above; the address and port it must listen on are given in PORT and HOST."
    )

    def __init__(self, step: str, why: str) -> None:
        super().__init__(f"service {step!r} is not ready: {why}")
        self.step, self.why = step, why


class PortUnavailable(ClocheError):
    """A preview was to be shown on a port of this machine that is taken, or not the user's to take."""

    code = "port-unavailable"
    exit_status = 100
    remedy = "Give another port, or none: then one that is free is chosen."

    def __init__(self, port: int, why: str) -> None:
        super().__init__(f"port {port} of 127.0.0.1: {why}")
        self.port, self.why = port, why


class BudgetTaken(ClocheError):
    """Other runs of the user held what a step needs for longer than the caller would wait."""

    code = "budget-taken"
    exit_status = 101
    remedy = (
        "Stop a run that holds it, wait longer (--wait), ask for less (--memory), or raise"
        " budget.memory in the policy; `cloche jobs` shows who holds what."
    )

    def __init__(self, step: str, seconds: float, position: int, holders: tuple[str, ...]) -> None:
        super().__init__(
            f"step {step!r} waited {seconds:.15g} s for its share of the machine; its place in"
            f" the queue was {position}",
            holders,
        )
        self.step, self.seconds, self.position = step, seconds, position


class QueueUnavailable(ClocheError):
    """There is no safe place for the queue in which the runs of a user share the machine."""

    code = "queue-unavailable"
    exit_status = 102
    remedy = "Set XDG_STATE_HOME to a directory of your own on a local file system."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"cannot keep the queue of runs at {path!r}: {why}")
        self.path, self.why = path, why


class OutputRefused(ClocheError):
    """What a step left behind is missing, malformed, or not what it must be."""

    code = "output-refused"
    exit_status = 119
    remedy = "Run the verb again; if it stays, the tool or the registry gave something wrong."

    def __init__(self, step: str, path: str, why: str) -> None:
        super().__init__(f"output {path!r} of step {step!r} is refused: {why}")
        self.step, self.path, self.why = step, path, why


class CacheUnusable(ClocheError):
    """A shared cache cannot be kept, or holds or was offered content that is not what its name says."""

    code = "cache-unusable"
    exit_status = 112
    remedy = (
        "Set XDG_CACHE_HOME to a directory of your own that has room, or remove the cache named in "
        "the message; it is filled again when needed."
    )

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"cache {path}: {why}")
        self.path, self.why = path, why


class PackageRefused(ClocheError):
    """What a registry gave is not kept: its content is not what its name or a lock says, or leads out of it."""

    code = "package-refused"
    exit_status = 84
    remedy = (
        "Do not use this version of the package, and tell who publishes it; nothing was changed in the"
        " project, and nothing of it was kept."
    )

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"package {name}: {why}")
        self.name, self.why = name, why


class AlreadyThere(ClocheError):
    """Scaffolding would write over something."""

    code = "already-there"
    exit_status = 111
    remedy = "Give a directory that does not exist yet, or an empty one."

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists and is not empty")
        self.path = path
