"""What truly stands around one sandbox: read back from the kernel, not taken from the plan."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloche.model.trial import Trial
from cloche.platforms.linux.cgroup import Group
from cloche.platforms.linux.watcher import Watcher
from cloche.sandbox.features import Feature, Finding, Support
from cloche.sandbox.mounts import Overlay
from cloche.sandbox.plan import SandboxPlan
from cloche.sandbox.report import EnforcementReport

_NAMESPACES = {
    Feature.USER_NS: "user",
    Feature.MOUNT_NS: "mnt",
    Feature.PID_NS: "pid",
    Feature.NET_NS: "net",
    Feature.IPC_NS: "ipc",
    Feature.UTS_NS: "uts",
    Feature.CGROUP_NS: "cgroup",
}
_BEST_LANDLOCK = 6  # from this ABI on: files, device ioctls, signals and abstract sockets
_LEVELS = {
    "redirect": (Support.FULL, "every attempt to leave meets our rules and becomes an event"),
    "listeners": (
        Support.PARTIAL,
        "no nf_tables: only attempts by name or proxy are seen, none succeeds",
    ),
    "bare": (Support.PARTIAL, "loopback only: attempts fail, unseen"),
}

_SCOPED = 6  # the ABI that confines signals to the domain
_NAMESPACES_MEND = "let this user make user namespaces; `cloche doctor` says what refuses them"
_NOT_IN_PLACE = {
    Feature.USER_NS: "it runs as the user, who may change modes, times and owners of other files",
    Feature.MOUNT_NS: "the host's tree: names and sizes of files can be asked for, not their content",
    Feature.PID_NS: "the host's: that a process exists can be found out by its number",
    Feature.NET_NS: "the host's, to which no socket leads",
    Feature.IPC_NS: "the host's; System V calls and datagram sockets are refused",
    Feature.UTS_NS: "the host's name is seen",
    Feature.CGROUP_NS: "the group's path on the host is seen",
}


def standing_report(
    facts: Mapping[str, Any],  # Any: JSON from the launcher
    held: tuple[Finding, ...],
    trials: tuple[Trial, ...],
    plan: SandboxPlan,
) -> EnforcementReport:
    """Give the report of one sandbox.

    `facts` is what the process that became the program read of itself, from the
    kernel, behind its last barrier; `held` what the host read before it started;
    `trials` what was tried in between.
    """
    status = {str(key): str(value) for key, value in facts.get("credentials", {}).items()}
    findings = [
        *(
            _as_shown(finding, [str(place) for place in facts.get("shared", ())])
            for finding in _namespaces(
                {str(k): str(v) for k, v in facts.get("namespaces", {}).items()}
            )
        ),
        _privileges(status),
        _capabilities(status),
        _landlock(int(facts.get("landlock", 0))),
        _seccomp(status),
        _network(str(facts.get("level", ""))),
        _ceilings(facts.get("limits", {}), plan),
        *held,
        *_always(plan),
    ]
    return EnforcementReport(tuple(findings), trials)


def report_in_place(
    facts: Mapping[str, Any], limits: tuple[Finding, ...], plan: SandboxPlan
) -> EnforcementReport:  # Any: JSON from the launcher
    """Give the report of one program without namespaces: what is not held is said of each."""
    status = {str(key): str(value) for key, value in facts.get("credentials", {}).items()}
    abi = int(facts.get("landlock", 0))
    certain = {feature: (Support.NONE, why) for feature, why in _NOT_IN_PLACE.items()}
    certain[Feature.TREE_KILL] = (
        Support.PARTIAL,
        "killed by a keeper, or else by the launcher; a death of both leaves what has daemonised",
    )
    certain[Feature.EGRESS_FILTER] = (
        (
            Support.PARTIAL,
            "TCP to the port of our proxy alone, by Landlock, on any host; no other socket",
        )
        if plan.network.outbound
        else (Support.PARTIAL, "no socket can be made: attempts fail, unseen")
    )
    certain[Feature.OVERLAY] = (
        Support.FULL,
        "a copy of the project, compared when nothing of the program runs any more",
    )
    why = "" if abi >= _SCOPED else "; signals to the user's other processes are not held"
    landlock = replace(_landlock(abi), why=f"ABI {abi}: reading and writing{why}")
    known = [
        *(
            Finding(feature=f, support=s, why=w, mend=_NAMESPACES_MEND)
            for f, (s, w) in certain.items()
        ),
        _privileges(status),
        _capabilities_in_place(status),
        landlock,
        _seccomp(status),
        _ceilings(facts.get("limits", {}), plan),
        *limits,
        _identity(os.getpid()),
        *(finding for finding in _always(plan) if finding.feature not in certain),
    ]
    return EnforcementReport(tuple(known))


def _capabilities_in_place(status: Mapping[str, str]) -> Finding:
    """Look at four sets: the bounding set is not an ordinary user's to empty, and no_new_privs shuts it."""
    empty = all(status.get(name) == "0" * 16 for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    if not empty or status.get("NoNewPrivs") != "1":
        return _capabilities(status)
    why = "four sets are empty; the bounding set is the user's, and no_new_privs keeps it shut"
    return Finding(feature=Feature.NO_CAPABILITIES, support=Support.PARTIAL, why=why)


def held_from_outside(pid: int, group: Group) -> tuple[Finding, ...]:
    """Read what the host holds of a sandbox, before its program starts: its limits, and who it is."""
    limits = group.findings()
    if isinstance(group, Watcher) and not os.path.exists(f"/proc/{pid}"):
        why = "/proc does not show what this user started: it is mounted with hidepid"
        mend = "mount /proc with hidepid=0, or with gid= one of this user's groups"
        # What cannot be seen cannot be counted.
        limits = tuple(
            replace(finding, support=Support.NONE, why=why, mend=mend) for finding in limits
        )
    return (*limits, _identity(pid))


def _identity(pid: int) -> Finding:
    """Read the mapping of the sandbox's user. user_namespaces(7): inside, outside, length."""
    if os.geteuid() != 0:
        return _found(
            Feature.NOT_ROOT,
            holds=True,
            why=f"host uid {os.geteuid()}: an ordinary user maps itself",
        )
    try:
        fields = Path(f"/proc/{pid}/uid_map").read_text().split()
    except OSError:
        fields = []
    holds = len(fields) == 3 and fields[2] == "1" and fields[1] != "0"
    return _found(
        Feature.NOT_ROOT, holds=holds, why=f"host uid {fields[1] if fields else 'not mapped'}"
    )


def _found(feature: Feature, *, holds: bool, why: str) -> Finding:
    return Finding(feature=feature, support=Support.FULL if holds else Support.NONE, why=why)


def _namespaces(theirs: Mapping[str, str]) -> list[Finding]:
    findings = []
    for feature, name in _NAMESPACES.items():
        inside = theirs.get(name, "")
        holds = bool(inside) and inside != os.readlink(f"/proc/self/ns/{name}")
        why = f"{inside}, not the host's" if holds else "it is the host's own"
        findings.append(_found(feature, holds=holds, why=why))
    return findings


def _as_shown(finding: Finding, shared: Sequence[str]) -> Finding:
    """Lower a namespace of mounts of which something could not be made a file system of its own."""
    if not shared or finding.feature is not Feature.MOUNT_NS or finding.support is Support.NONE:
        return finding
    why = f"{', '.join(shared[:5])}: the host's own files, whose use and locks are seen both ways"
    mend = "keep the host's system off stacked overlays, as some containers have them"
    return replace(finding, support=Support.PARTIAL, why=why, mend=mend)


def _privileges(status: Mapping[str, str]) -> Finding:
    holds = status.get("NoNewPrivs") == "1"
    return _found(Feature.NO_NEW_PRIVS, holds=holds, why=f"NoNewPrivs: {status.get('NoNewPrivs')}")


def _capabilities(status: Mapping[str, str]) -> Finding:
    sets = {
        name: status.get(name, "?") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    }
    holds = all(value == "0" * 16 for value in sets.values())
    why = "all five sets are empty" if holds else f"not empty: {sets}"
    return _found(Feature.NO_CAPABILITIES, holds=holds, why=why)


def _seccomp(status: Mapping[str, str]) -> Finding:
    # proc_pid_status(5): 2 is SECCOMP_MODE_FILTER
    holds = status.get("Seccomp") == "2"
    return _found(
        Feature.SECCOMP, holds=holds, why=f"Seccomp: {status.get('Seccomp')}, an allow-list"
    )


def _landlock(abi: int) -> Finding:
    if abi == 0:
        why = "the kernel has no Landlock, or it is switched off"
        return Finding(
            feature=Feature.LANDLOCK,
            support=Support.NONE,
            why=why,
            mend="add landlock to the lsm= boot parameter",
        )
    support = Support.FULL if abi >= _BEST_LANDLOCK else Support.PARTIAL
    return Finding(feature=Feature.LANDLOCK, support=support, why=f"ABI {abi}")


def _ceilings(held: Mapping[str, Any], plan: SandboxPlan) -> Finding:  # Any: JSON
    """Compare the hard limits that were read back with the plan's; the host's own may be lower."""
    wanted = {
        "RLIMIT_NOFILE": plan.limits.open_files,
        "RLIMIT_FSIZE": plan.limits.file_bytes,
        "RLIMIT_CORE": 1,
    }
    holds = all(0 <= int(held.get(name, -1)) <= value for name, value in wanted.items())
    shown = ", ".join(f"{name} = {held.get(name)}" for name in wanted)
    return _found(Feature.RLIMITS, holds=holds, why=f"{shown}, read back")


def _network(level: str) -> Finding:
    support, why = _LEVELS.get(level, (Support.NONE, "the launcher did not say"))
    return Finding(feature=Feature.EGRESS_FILTER, support=support, why=why)


def _always(plan: SandboxPlan) -> list[Finding]:
    """Give what the launcher does or fails: it reported the exec, so each line of it was passed."""
    limits = plan.limits
    facts = {
        Feature.NEW_SESSION: "own session, own session keyring, pipes for standard streams",
        Feature.CLOSED_DESCRIPTORS: "three streams, nothing else",
        Feature.EMPTY_ENVIRONMENT: f"{len(plan.env)} variables, all ours",
        Feature.WALL_CLOCK: f"{limits.wall_seconds:g} s, then the tree is killed",
        Feature.OUTPUT_LIMIT: f"{limits.output_bytes} bytes kept",
        Feature.TREE_KILL: "own init; its death, the launcher's or the kernel's ends all",
    }
    findings = [_found(feature, holds=True, why=why) for feature, why in facts.items()]
    disk = f"{limits.disk_bytes} bytes and {limits.inodes} inodes, measured as space shrinks and at commit"
    findings.append(Finding(feature=Feature.DISK_LIMIT, support=Support.PARTIAL, why=disk))
    layered = any(isinstance(operation, Overlay) for operation in plan.mounts)
    shown = not layered and any(operation.target == "/project" for operation in plan.mounts)
    why = "nothing it writes to is the project" if shown else "changes go to an upper layer"
    findings.append(_found(Feature.OVERLAY, holds=True, why=f"a copy: {why}" if shown else why))
    return findings
