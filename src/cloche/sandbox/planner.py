"""From a granted step to a sandbox plan: pure, and refusing when a required barrier is not there."""

from collections.abc import Mapping
from dataclasses import dataclass

from cloche.model.grant import Grant
from cloche.model.step import HEAP, HEAP_BYTES, Net, Source
from cloche.model.tier import Tier
from cloche.sandbox.environ import HOME, TEMPORARY, clean_environment
from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.features import Feature, Features, Need
from cloche.sandbox.layout import HostSystem, system_mounts
from cloche.sandbox.mounts import BindReadOnly, BindWritable, Masked, MountOp, Overlay, ordered
from cloche.sandbox.plan import NetworkPlan, SandboxPlan

_IN_EITHER_TIER = (
    Feature.NO_NEW_PRIVS,
    Feature.NO_CAPABILITIES,
    Feature.SECCOMP,
    Feature.CLOSED_DESCRIPTORS,
    Feature.EMPTY_ENVIRONMENT,
    Feature.NOT_ROOT,
    Feature.TREE_KILL,
    Feature.OVERLAY,
)
# Without these there is no jar at all; a policy may add to them, nothing takes away.
ALWAYS_REQUIRED = {
    Tier.NAMESPACES: (
        Feature.USER_NS,
        Feature.MOUNT_NS,
        Feature.PID_NS,
        Feature.NET_NS,
        Feature.IPC_NS,
        *_IN_EITHER_TIER,
    ),
    Tier.LANDLOCK: (Feature.LANDLOCK, *_IN_EITHER_TIER),
}
_NO_SERVICE = "a service needs a network of its own, which the landlock tier has not"
# Landlock knows ports and no addresses: what may connect to our proxy's port may do so on any host.
_NO_HOSTS = "the landlock tier cannot hold project code to named hosts"
_MEND = "let this user make user namespaces; `cloche doctor` says what refuses them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A toolchain as the planner sees it: its reference name, its place outside and inside."""

    name: str
    host_root: str
    inside: str

    @property
    def is_system(self) -> bool:
        """Tell whether the tool is part of /usr, which every sandbox sees anyway."""
        return self.inside == "/usr" or self.inside.startswith("/usr/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the kernel found for a step: real places for its mounts, tools, the host, the features."""

    places: tuple[MountOp, ...]
    tools: tuple[Tool, ...]
    host: HostSystem
    features: Features
    epoch: int
    environment: Mapping[str, str]
    """Variables that the kernel adds, such as where trust roots stand in a fetch step."""
    stdin: bool = False
    canary: str = ""
    """A file of the host's that no sandbox may see; "" for none."""
    commands: tuple[MountOp, ...] = ()
    """Links in /toolchain/bin, so that a person's `npm` is found by name."""


def plan_sandbox(grant: Grant, around: Surroundings) -> SandboxPlan:
    """Turn a grant into everything a platform must do. Raises CannotConfine."""
    step = grant.step
    tier = around.features.tier
    needs = _needs(grant, tier)
    _check_features(needs, around.features)
    if tier is Tier.LANDLOCK and step.net is Net.INBOUND:
        raise CannotConfine(Feature.NET_NS.value, _NO_SERVICE, _MEND)
    if tier is Tier.LANDLOCK and step.net is Net.HOSTS:
        raise CannotConfine(Feature.EGRESS_FILTER.value, _NO_HOSTS, _MEND)
    fetching = step.net in (Net.REGISTRY, Net.HOSTS)
    # A tool that tells how it is configured must see all of it, the administrator's part too.
    configured = any(mount.source is Source.USER_CONFIG for mount in step.mounts)
    operations = [
        *system_mounts(
            around.host,
            memory_bytes=grant.limits.memory_bytes,
            trust_roots=fetching or configured,
        ),
        *(_tool_mount(tool) for tool in around.tools if not tool.is_system),
        *around.commands,
        *around.places,
        *(Masked(target=f"/project/{path}") for path in grant.hidden),
    ]
    return SandboxPlan(
        step=step.id,
        argv=(
            _resolve(step.argv[0], around.tools),
            *(_resolve(a, around.tools) for a in step.argv[1:]),
        ),
        env=clean_environment(
            {**around.environment, **_variables(grant, around.tools)},
            tool_paths=_tool_paths(around),
            epoch=around.epoch,
        ),
        cwd=step.cwd,
        mounts=ordered(operations),
        writable=(HOME, TEMPORARY, *_writable(around.places)),
        limits=grant.limits,
        network=NetworkPlan(observed=True, outbound=fetching, inbound=step.net is Net.INBOUND),
        needs=needs,
        stdin=around.stdin,
        canary=around.canary,
        mirror=step.probe is not None,
        tier=tier,
    )


def _needs(grant: Grant, tier: Tier) -> dict[Feature, Need]:
    named = {Feature(name) for name in grant.required}
    return {
        feature: Need.REQUIRED
        if feature in named or feature in ALWAYS_REQUIRED[tier]
        else Need.WANTED
        for feature in Feature
    }


def _check_features(needs: Mapping[Feature, Need], features: Features) -> None:
    missing = features.find_missing(f for f, need in needs.items() if need is Need.REQUIRED)
    if missing is not None:
        raise CannotConfine(missing.feature.value, missing.why, missing.mend)


def _tool_mount(tool: Tool) -> MountOp:
    # A toolchain may live in a 0700 home: it is bound by descriptor, and shown as the program's own.
    return BindReadOnly(source=tool.host_root, target=tool.inside, of_user=True)


def _tool_paths(around: Surroundings) -> tuple[str, ...]:
    ours = ("/toolchain/bin",) if around.commands else ()
    return (*ours, *(f"{tool.inside}/bin" for tool in around.tools if not tool.is_system))


def _variables(grant: Grant, tools: tuple[Tool, ...]) -> dict[str, str]:
    heap = grant.limits.memory_bytes * 3 // 4
    return {
        name: _resolve(value, tools).replace(HEAP_BYTES, f"{heap:x}").replace(HEAP, str(heap >> 20))
        for name, value in grant.step.env.items()
    }


def _resolve(text: str, tools: tuple[Tool, ...]) -> str:
    """Replace a leading "@name" by the place of that toolchain inside."""
    if not text.startswith("@"):
        return text
    name, _, rest = text[1:].partition("/")
    for tool in tools:
        if tool.name == name:
            return f"{tool.inside}/{rest}" if rest else tool.inside
    return text


def _writable(places: tuple[MountOp, ...]) -> tuple[str, ...]:
    return tuple(op.target for op in places if isinstance(op, Overlay | BindWritable))
