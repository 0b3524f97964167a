"""What this machine can enforce, found by doing it, and who refused where it cannot."""

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from cloche.model.limits import LIMIT_CLASSES
from cloche.platforms.linux.cgroup import CgroupHome
from cloche.sandbox.errors import SpawnFailed
from cloche.sandbox.features import Feature, Features, Finding, Support
from cloche.sandbox.layout import HostSystem, system_mounts
from cloche.sandbox.mounts import Overlay, ordered
from cloche.sandbox.plan import NetworkPlan, SandboxPlan
from cloche.sandbox.platform import SandboxedProcess

Spawn = Callable[[SandboxPlan], Awaitable[SandboxedProcess]]

# What a refused sandbox takes with it: nothing stands where init could not be made.
_DEPENDENT = (
    Feature.USER_NS,
    Feature.MOUNT_NS,
    Feature.PID_NS,
    Feature.NET_NS,
    Feature.IPC_NS,
    Feature.UTS_NS,
    Feature.TREE_KILL,
)


async def probe_features(spawn: Spawn, cgroups: CgroupHome, host: HostSystem) -> Features:
    """Put up one whole sandbox over a small overlay, delete a directory in it, and read the report.

    A probe that only asks versions would say yes where a container's filter
    says no. When it fails, the layer that refused is named with its mend.
    """
    stage = Path(tempfile.mkdtemp(prefix="cloche-probe-"))
    try:
        process = await spawn(_plan(stage, host))
    except SpawnFailed as failure:
        return Features((*_refused(failure), *cgroups.findings()))
    try:
        while await process.read_output() is not None:
            pass
        ended = await process.wait_exited()
        report = process.report
    finally:
        for each in process.sockets.values():
            each.close()
        await process.close()
        shutil.rmtree(stage, ignore_errors=True)
    findings = [f for f in report.findings if f.feature is not Feature.OVERLAY]
    findings.append(_overlay(ended.status))
    held = {finding.feature: finding for finding in cgroups.findings()}
    return Features(tuple(held.get(f.feature, f) for f in findings))


def _plan(stage: Path, host: HostSystem) -> SandboxPlan:
    limits = LIMIT_CLASSES["tool"]
    for name in ("lower/old", "upper", "work"):
        (stage / name).mkdir(parents=True)
    overlay = Overlay(
        lowers=(str(stage / "lower"),),
        upper=str(stage / "upper"),
        work=str(stage / "work"),
        target="/project",
    )
    mounts = (*system_mounts(host, memory_bytes=limits.memory_bytes, trust_roots=False), overlay)
    return SandboxPlan(
        step="probe",
        # Without userxattr the mount succeeds and the removal fails: only doing it tells.
        argv=("/bin/sh", "-c", "rmdir old && mkdir old && : > new && rmdir old"),
        env={"PATH": "/usr/bin:/bin"},
        cwd="/project",
        mounts=ordered(mounts),
        writable=("/project",),
        limits=limits,
        network=NetworkPlan(),
    )


def _overlay(status: int) -> Finding:
    if status == 0:
        why = "made, changed and deleted in an overlay of this user's own"
        return Finding(feature=Feature.OVERLAY, support=Support.FULL, why=why)
    return Finding(
        feature=Feature.OVERLAY,
        support=Support.NONE,
        why="an overlay mounts, but deleting in it fails",
        mend="use Linux 5.11 or newer, and keep state and temporary files off overlayfs",
    )


def _refused(failure: SpawnFailed) -> tuple[Finding, ...]:
    why, mend = who_refused(failure.call, failure.detail)
    return tuple(
        Finding(feature=feature, support=Support.NONE, why=why, mend=mend)
        for feature in (*_DEPENDENT, Feature.OVERLAY)
    )


def who_refused(call: str, detail: str) -> tuple[str, str]:
    """Give (which layer refused a system call, how to mend it) as well as can be told."""
    text = f"{call}: {detail}"
    for path, refuses, name in (
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone"),
    ):
        if _read(path) == refuses and os.geteuid() != 0:
            wanted = "15000" if refuses == "0" and "max" in name else "1"
            return (
                f"{name} = {refuses} forbids user namespaces ({text})",
                f"sysctl -w {name}={wanted}",
            )
    apparmor = "kernel.apparmor_restrict_unprivileged_userns"
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" and os.geteuid() != 0:
        return (
            f"AppArmor restricts user namespaces ({text})",
            f"sysctl -w {apparmor}=0, or load a profile",
        )
    if _seccomp_mode() == "2":
        return (
            f"a seccomp filter around this process, such as a container's default, refuses ({text})",
            "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        )
    return f"the kernel refused {text}", "use Linux 5.12 or newer with namespaces and overlayfs"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _seccomp_mode() -> str:
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("Seccomp:"):
            return line.split()[1]
    return ""
