"""Everything a platform needs to put one program behind its barriers, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloche.errors import InvalidValue
from cloche.model.limits import Limits
from cloche.model.tier import Tier
from cloche.sandbox.features import Feature, Need
from cloche.sandbox.mounts import MountOp

INSIDE_UID = 1000
INSIDE_GID = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """How the network namespace is furnished.

    With `observed` the launcher routes everything to loopback, installs the
    refusing rules and hands the host the listeners that egress serves. Without
    it the namespace has a loopback and nothing else: attempts fail, unseen.
    `inbound` lets the host ask for sockets of the namespace, from which it
    connects in.
    """

    observed: bool = True
    outbound: bool = False
    """Whether egress may let anything out."""
    inbound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPlan:
    """The proof that a granted step was planned; the only thing `Platform.spawn` accepts.

    Made by `sandbox.planner` and nowhere else; `tests/structure` forbids the call.
    """

    step: str
    argv: tuple[str, ...]
    """argv[0] is an absolute path inside, or a name looked up in PATH of `env`."""
    env: Mapping[str, str]
    cwd: str
    mounts: tuple[MountOp, ...]
    writable: tuple[str, ...]
    """Paths inside that Landlock leaves writable; all else is read-only or absent."""
    limits: Limits
    network: NetworkPlan
    needs: Mapping[Feature, Need] = field(default_factory=dict)
    stdin: bool = False
    """True: the host feeds standard input through a pipe. False: it is /dev/null."""
    tier: Tier = Tier.NAMESPACES
    canary: str = ""
    """A file of the host's that a trial tries to read inside; "" for none."""
    mirror: bool = False
    """True: the host may put changed files of the project into the running sandbox (previews)."""

    def __post_init__(self) -> None:
        if not self.argv or not self.cwd.startswith("/"):
            raise InvalidValue("plan", self.argv, "a command and an absolute directory")
