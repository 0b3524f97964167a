"""The barriers by name, how much a plan insists on each, and what a machine gives."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cloche.model.tier import Tier

_NOT_PROBED = "not probed"


class Feature(Enum):
    """One barrier. The numbers are those of docs/threat-model.md."""

    USER_NS = "user-namespace"  # (1)
    MOUNT_NS = "mount-namespace"  # (2) minimal read-only root, pivot_root
    PID_NS = "pid-namespace"  # (3) with an own init that reaps, and a fresh /proc
    NET_NS = "network-namespace"  # (4)
    IPC_NS = "ipc-namespace"  # (5)
    UTS_NS = "uts-namespace"  # (6)
    CGROUP_NS = "cgroup-namespace"  # (7)
    NO_NEW_PRIVS = "no-new-privileges"  # (8)
    NO_CAPABILITIES = "no-capabilities"  # (9) sets and bounding set empty
    RLIMITS = "resource-limits"  # (10)
    LANDLOCK = "landlock"  # (11)
    SECCOMP = "seccomp"  # (12)
    NEW_SESSION = "new-session"  # (13) no controlling terminal, fresh session keyring
    CLOSED_DESCRIPTORS = "closed-descriptors"  # (14)
    EMPTY_ENVIRONMENT = "empty-environment"  # (15)
    NOT_ROOT = "not-the-hosts-root"  # (16) the program is never the host's uid 0
    MEMORY_LIMIT = "memory-limit"  # (17)
    CPU_LIMIT = "cpu-limit"  # (18)
    PROCESS_LIMIT = "process-limit"  # (19)
    DISK_LIMIT = "disk-limit"  # (20)
    WALL_CLOCK = "wall-clock"  # (21)
    OUTPUT_LIMIT = "output-limit"  # (22)
    TREE_KILL = "tree-kill"  # (23) nothing outlives the step or the kernel
    EGRESS_FILTER = "egress-filter"  # (24) only named hosts, each attempt an event
    OVERLAY = "transaction-overlay"  # (25) the project itself is never written


class Support(Enum):
    """How much of a barrier truly stands."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Need(Enum):
    """How much a plan insists."""

    REQUIRED = "required"
    WANTED = "wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is known of one feature: how much stands, by which means, and the mend where it does not."""

    feature: Feature
    support: Support
    why: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Features:
    """What this machine can do, found by doing it."""

    findings: tuple[Finding, ...]
    tier: Tier = Tier.NAMESPACES
    refused_overlay: str = ""
    """What refused overlays, where copies stand for them in the namespaces tier; "" where they mount."""

    @property
    def copies(self) -> bool:
        """Tell whether a program is given copies in place of overlays."""
        return self.tier is Tier.LANDLOCK or bool(self.refused_overlay)

    def support(self, feature: Feature) -> Support:
        """Give the support of `feature`; a feature nobody probed is NONE."""
        for finding in self.findings:
            if finding.feature is feature:
                return finding.support
        return Support.NONE

    def find_missing(self, required: Iterable[Feature]) -> Finding | None:
        """Give one of `required` that is not there, by preference one of which it is known why."""
        missing = [self.finding(f) for f in required if self.support(f) is Support.NONE]
        return next((f for f in missing if f.why != _NOT_PROBED), missing[0] if missing else None)

    def finding(self, feature: Feature) -> Finding:
        """Give what is known of `feature`."""
        for finding in self.findings:
            if finding.feature is feature:
                return finding
        return Finding(feature=feature, support=Support.NONE, why=_NOT_PROBED)
