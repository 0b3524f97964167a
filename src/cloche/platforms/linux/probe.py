"""What this machine can enforce, found by doing it, and who refused where it cannot."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from cloche.model.limits import LIMIT_CLASSES
from cloche.model.tier import Tier
from cloche.platforms.linux.cgroup import CgroupHome
from cloche.platforms.linux.refusal import Refusal, read_circumstances, who_refused
from cloche.sandbox.environ import TEMPORARY
from cloche.sandbox.errors import CannotConfine, SpawnFailed
from cloche.sandbox.features import Feature, Features, Finding, Support
from cloche.sandbox.layout import HostSystem, system_mounts
from cloche.sandbox.mounts import BindWritable, Overlay, ordered
from cloche.sandbox.plan import NetworkPlan, SandboxPlan
from cloche.sandbox.platform import Exit, SandboxedProcess
from cloche.sandbox.report import EnforcementReport

_NEWER = (
    "use Linux 6.2 or newer (6.7 for steps that fetch) with landlock in its lsm= boot parameter"
)
_STAGE = "probe-"
_WORKS = Finding(
    feature=Feature.OVERLAY,
    support=Support.FULL,
    why="made, changed and deleted in an overlay of this user's own",
)
_BROKEN = Refusal(
    why="an overlay mounts, but deleting in it fails",
    mend="use Linux 5.11 or newer, and keep state and temporary files off overlayfs",
)
_OLD_SECONDS = 600.0  # no probe takes as long

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


class Prober:
    """Finds out by doing what this machine gives."""

    def __init__(self, spawn: Spawn, cgroups: CgroupHome, host: HostSystem, home: Path) -> None:
        """Probe with `spawn`; overlays are tried below `home`, since not every file system carries one."""
        self._spawn, self._cgroups, self._host, self._home = spawn, cgroups, host, home

    async def probe(self, pretended: Refusal | None = None) -> Features:
        """Put up one whole sandbox over a small overlay, delete a directory in it, and read the report.

        A probe that only asks versions would say yes where a container's filter
        says no. When it fails, the layer that refused is named with its mend, and
        the same is tried with a copy. `pretended` is a refusal of the overlay to be taken for true.
        """
        try:
            stage = _make_stage(self._home)
        except OSError as error:
            why = f"nothing can be written at {self._home}: {error.strerror}"
            mend = "make room there, or set XDG_STATE_HOME to a directory of your own"
            return await self._without_overlay(Refusal(why=why, mend=mend), None)
        try:
            refusal = pretended or _BROKEN
            if pretended is None:
                try:
                    ended, report = await self._try(_plan(self._host, stage))
                except SpawnFailed as failure:
                    refusal = who_refused(failure.call, failure.detail, read_circumstances())
                else:
                    if ended.status == 0:
                        return self._found(report, _WORKS)
            return await self._without_overlay(refusal, stage)
        finally:
            _remove_stage(stage)

    async def probe_in_place(self) -> Features:
        """Put a program behind Landlock and seccomp alone, and read the report."""
        plan = replace(_plan(self._host, None), tier=Tier.LANDLOCK)
        try:
            _, report = await self._try(plan)
        except SpawnFailed as failure:
            why = f"the kernel refused {failure.detail}"
            missing = (
                Finding(feature=Feature.LANDLOCK, support=Support.NONE, why=why, mend=_NEWER),
            )
        except CannotConfine as refusal:
            feature = Feature(refusal.feature)
            found = Finding(
                feature=feature, support=Support.NONE, why=refusal.why, mend=refusal.mend
            )
            missing = (found,)
        else:
            return Features(report.findings, Tier.LANDLOCK)
        return Features((*missing, *self._cgroups.findings()), Tier.LANDLOCK)

    async def _try(self, plan: SandboxPlan) -> tuple[Exit, EnforcementReport]:
        process = await self._spawn(plan)
        try:
            while await process.read_output() is not None:
                pass
            return await process.wait_exited(), process.report
        finally:
            for each in process.sockets.values():
                each.close()
            await process.close()

    def _found(self, report: EnforcementReport, overlay: Finding) -> Features:
        held = {finding.feature: finding for finding in (*self._cgroups.findings(), overlay)}
        return Features(tuple(held.get(f.feature, f) for f in report.findings))

    async def _without_overlay(self, refusal: Refusal, stage: Path | None) -> Features:
        """Probe what else stands: what refused the overlay need not refuse more, nor a copy in `stage`."""
        if stage is not None:
            with contextlib.suppress(SpawnFailed):
                # Started by root, a copy is shown through an idmapped mount, which not every file system has.
                ended, report = await self._try(_plan(self._host, stage, copies=True))
                if ended.status == 0:
                    found = self._found(report, _copied(refusal))
                    return replace(found, refused_overlay=refusal.why)
        overlay = Finding(
            feature=Feature.OVERLAY, support=Support.NONE, why=refusal.why, mend=refusal.mend
        )
        try:
            _, report = await self._try(_plan(self._host, None))
        except SpawnFailed as failure:
            refused = who_refused(failure.call, failure.detail, read_circumstances())
            missing = tuple(
                Finding(feature=feature, support=Support.NONE, why=refused.why, mend=refused.mend)
                for feature in _DEPENDENT
            )
            return Features((*missing, overlay, *self._cgroups.findings()))
        return self._found(report, overlay)


def _make_stage(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in home.glob(f"{_STAGE}*"):  # of a probe that was killed
        if time.time() - old.stat().st_mtime > _OLD_SECONDS:
            _remove_stage(old)
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=home))
    for name in ("lower/old", "upper", "work", "copy/old"):
        (stage / name).mkdir(parents=True)
    return stage


def _remove_stage(stage: Path) -> None:
    # overlayfs leaves directories of mode 0 in its work directory, which their owner cannot list;
    # those below the first of a volatile mount.
    for left in ("work/work", "work/work/incompat", "work/work/incompat/volatile"):
        with contextlib.suppress(OSError):
            (stage / left).chmod(0o700)
    shutil.rmtree(stage, ignore_errors=True)


def _copied(refusal: Refusal) -> Finding:
    why = f"a copy of the project stands for the overlay, which was refused: {refusal.why}"
    return Finding(feature=Feature.OVERLAY, support=Support.FULL, why=why, mend=refusal.mend)


def _plan(host: HostSystem, stage: Path | None, *, copies: bool = False) -> SandboxPlan:
    limits = LIMIT_CLASSES["tool"]
    mounts = system_mounts(host, memory_bytes=limits.memory_bytes, trust_roots=False)
    if stage is not None:
        overlay = Overlay(
            lowers=(str(stage / "lower"),),
            upper=str(stage / "upper"),
            work=str(stage / "work"),
            target="/project",
        )
        copy = BindWritable(source=str(stage / "copy"), target="/project")
        mounts = (*mounts, copy if copies else overlay)
    # Without userxattr the mount succeeds and the removal fails: only doing it tells.
    deed = "rmdir old && mkdir old && : > new && rmdir old" if stage else ":"
    place = "/project" if stage else TEMPORARY
    return SandboxPlan(
        step="probe",
        argv=("/bin/sh", "-c", deed),
        env={"PATH": "/usr/bin:/bin"},
        cwd=place,
        mounts=ordered(mounts),
        writable=(place,),
        limits=limits,
        network=NetworkPlan(),
    )
