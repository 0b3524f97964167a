"""What truly stands around one sandbox: read back from the kernel, not taken from the plan."""

import os
from pathlib import Path

from cloche.platforms.linux.process import LinuxProcess
from cloche.sandbox.features import Feature, Finding, Support
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


def standing_report(
    process: LinuxProcess, held: tuple[Finding, ...], plan: SandboxPlan
) -> EnforcementReport:
    """Read back each barrier of a sandbox whose program runs; `held` are those of its group."""
    pid = process.host_pid
    status = _status(pid)
    findings = [
        *_namespaces(pid),
        *(_credentials(status) if status else _unread(has_ended=process.has_ended())),
        _landlock(int(process.facts.get("landlock", 0))),
        _network(str(process.facts.get("level", ""))),
        *held,
        *_always(plan),
    ]
    return EnforcementReport(tuple(findings))


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _found(feature: Feature, *, holds: bool, why: str) -> Finding:
    return Finding(feature=feature, support=Support.FULL if holds else Support.NONE, why=why)


def _namespaces(pid: int) -> list[Finding]:
    findings = []
    for feature, name in _NAMESPACES.items():
        ours = _link(f"/proc/self/ns/{name}")
        theirs = _link(f"/proc/{pid}/ns/{name}")
        if theirs:
            holds = theirs != ours
            why = f"{theirs}, not the host's" if holds else "it is the host's own"
        else:
            # An ordinary user may not look into a process that is not dumpable: that is by our own
            # design. The launcher would have failed had the kernel refused the namespace.
            holds, why = True, "made by clone3, which fails whole"
        findings.append(_found(feature, holds=holds, why=why))
    return findings


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _credentials(status: dict[str, str]) -> list[Finding]:
    return [_privileges(status), _capabilities(status), _identity(status)]


def _unread(*, has_ended: bool) -> list[Finding]:
    """Say what is known of a process whose status is not to be had."""
    features = (Feature.NO_NEW_PRIVS, Feature.NO_CAPABILITIES, Feature.NOT_ROOT)
    if has_ended:
        # It got as far as its program, and the launcher fails whole: nothing was left out.
        why = "the launcher passed it; the program ended before it could be read back"
        return [_found(feature, holds=True, why=why) for feature in features]
    # Neither could a watcher count what runs there.
    why = "/proc does not show what this user started: it is mounted with hidepid"
    mend = "mount /proc with hidepid=0, or with gid= one of this user's groups"
    return [
        Finding(feature=feature, support=Support.NONE, why=why, mend=mend) for feature in features
    ]


def _privileges(status: dict[str, str]) -> Finding:
    holds = status.get("NoNewPrivs") == "1"
    return _found(Feature.NO_NEW_PRIVS, holds=holds, why=f"NoNewPrivs: {status.get('NoNewPrivs')}")


def _capabilities(status: dict[str, str]) -> Finding:
    sets = {
        name: status.get(name, "?") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    }
    holds = all(value == "0" * 16 for value in sets.values())
    why = "all five sets are empty" if holds else f"not empty: {sets}"
    return _found(Feature.NO_CAPABILITIES, holds=holds, why=why)


def _identity(status: dict[str, str]) -> Finding:
    uids = status.get("Uid", "0 0 0 0").split()
    return _found(Feature.NOT_ROOT, holds="0" not in uids, why=f"host uid {uids[0]}")


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


def _network(level: str) -> Finding:
    support, why = _LEVELS.get(level, (Support.NONE, "the launcher did not say"))
    return Finding(feature=Feature.EGRESS_FILTER, support=support, why=why)


def _always(plan: SandboxPlan) -> list[Finding]:
    """Give what the launcher does or fails: it reported the exec, so each line of it was passed."""
    limits = plan.limits
    facts = {
        Feature.SECCOMP: "allow-list installed last, before the exec",
        Feature.RLIMITS: f"open files {limits.open_files}, file size {limits.file_bytes}, no cores",
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
    findings.append(_found(Feature.OVERLAY, holds=True, why="changes go to an upper layer"))
    return findings
