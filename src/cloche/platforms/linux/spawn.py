"""Linux as a platform: probes, and a plan turned into a running sandbox."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cloche.model.tier import Tier
from cloche.platforms.linux.cgroup import CgroupHome, open_cgroups
from cloche.platforms.linux.collector import start_collector
from cloche.platforms.linux.host import read_host_system
from cloche.platforms.linux.in_place import launch
from cloche.platforms.linux.launcher import Launcher
from cloche.platforms.linux.memory import read_memory_bytes
from cloche.platforms.linux.prepared import Nursery, Prepared
from cloche.platforms.linux.pretence import PRETEND, Pretence
from cloche.platforms.linux.probe import Prober
from cloche.platforms.linux.process import LinuxProcess
from cloche.platforms.linux.standing import report_in_place, standing_report
from cloche.platforms.linux.streams import Streams, make_streams
from cloche.platforms.linux.trees import open_trees
from cloche.platforms.linux.trying import insist_on_trials, insisted, read_trials
from cloche.sandbox.codec import describe, encode
from cloche.sandbox.errors import CannotConfine, SpawnFailed
from cloche.sandbox.features import Feature, Features, Finding, Need, Support
from cloche.sandbox.ground import divide
from cloche.sandbox.layout import HostSystem
from cloche.sandbox.mounts import MountOp, Overlay
from cloche.sandbox.plan import SandboxPlan


class LinuxPlatform:
    """The one way a program is started. One zygote, any number of sandboxes.

    `ahead` sandboxes are kept prepared for the next plan of the same ground.
    """

    name = "linux"

    def __init__(self, ahead: int = 2) -> None:
        self._launcher = Launcher()
        self._cgroups: CgroupHome | None = None
        self._features: dict[tuple[int, Tier], Features] = {}
        self._pretence = Pretence.read(os.environ.get(PRETEND, ""))
        self._probing = asyncio.Lock()
        self._buried: set[asyncio.Task[None]] = set()
        self._nursery = Nursery(self._launcher, self._groups, ahead)

    def host(self) -> HostSystem:
        """See Platform."""
        return read_host_system()

    def memory_bytes(self) -> int:
        """See Platform."""
        return read_memory_bytes()

    def collect(self, state: int) -> None:
        """See Platform."""
        start_collector(state)

    async def probe(self, home: Path, tier: Tier) -> Features:
        """See Platform."""
        async with self._probing:
            key = _file_system(home), tier
            if key not in self._features:
                prober = Prober(self.spawn, self._groups(), read_host_system(), home)
                found = await (
                    prober.probe(self._pretence.of_overlay)
                    if tier is Tier.NAMESPACES
                    else prober.probe_in_place()
                )
                self._features[key] = self._pretence.applied(found)
        return self._features[key]

    def _groups(self) -> CgroupHome:
        if self._cgroups is None:
            self._cgroups = (
                CgroupHome("none", {}) if self._pretence.lacks_groups else open_cgroups()
            )
        return self._cgroups

    async def spawn(self, plan: SandboxPlan) -> LinuxProcess:
        """See Platform."""
        if plan.tier is Tier.LANDLOCK:
            return await self._spawn_in_place(plan)
        if any(isinstance(operation, Overlay) for operation in plan.mounts):
            # A layer may be mounted again only when its last mount is gone. (Documentation/filesystems/overlayfs)
            await self._settle()
        ground, rest = divide(plan)
        prepared = await self._nursery.take(ground)
        held = self._hold(plan, prepared)
        process = await self._launch(plan, rest, prepared)
        async with _begun(process):
            await process.wait_confined()
            # While the program starts: it must be there first, since a refusal of it is told instead.
            trials = read_trials(process.facts, process.sockets)
            process.report = standing_report(process.facts, held, trials, plan)
            await process.start()
            _insist(process.report.findings, plan)
            insist_on_trials(trials, plan)
        self._nursery.expect(ground, plan.limits)
        return process

    async def _spawn_in_place(self, plan: SandboxPlan) -> LinuxProcess:
        group = self._groups().create()
        try:
            group.limit(plan.limits)
            limits = group.findings()
            _insist(limits, plan, among=frozenset(finding.feature for finding in limits))
            process = await launch(plan, self._launcher, group, self._bury)
        except BaseException as error:
            group.kill()
            group.remove()
            if isinstance(error, OSError):
                raise SpawnFailed("keeper", str(error)) from error
            raise
        async with _begun(process):
            await process.start()
            process.report = report_in_place(process.facts, limits, plan)
            _insist(process.report.findings, plan)
        return process

    def _hold(self, plan: SandboxPlan, prepared: Prepared) -> tuple[Finding, ...]:
        """Put the limits in force, and refuse before anything starts when a required one is not."""
        try:
            held = prepared.hold(plan.limits)
            _insist(held, plan, among=frozenset(finding.feature for finding in held))
        except BaseException as error:
            self._nursery.give_up(prepared)
            if isinstance(error, OSError):
                raise SpawnFailed("cgroup", str(error)) from error
            raise
        return held

    async def _launch(
        self, plan: SandboxPlan, rest: tuple[MountOp, ...], prepared: Prepared
    ) -> LinuxProcess:
        inside, streams = make_streams(feeds=plan.stdin)
        try:
            _hand_over(inside, prepared)
            trees = await open_trees(describe(rest), prepared.user, self._launcher)
            words = encode(plan, rest, landlock=True, host_pid=os.getpid(), insists=insisted(plan))
            prepared.launch(words, inside, trees)
        except BaseException as error:
            # When init is gone the socket tells only that; why, init has told us itself.
            last = prepared.find_last_words() if isinstance(error, OSError) else None
            for descriptor in streams.values():
                os.close(descriptor)
            self._nursery.give_up(prepared)
            if isinstance(error, OSError):
                raise last or SpawnFailed("launcher", str(error)) from error
            raise
        finally:
            for descriptor in inside:
                os.close(descriptor)
        return LinuxProcess(
            pid=prepared.pid,
            pidfd=prepared.pidfd,
            channel=prepared.channel,
            streams=Streams(streams, plan.limits.output_bytes),
            limits=plan.limits,
            group=prepared.group,
            bury=self._bury,
            after=lambda: self._nursery.free(prepared.slot),
        )

    def _bury(self, rest: Coroutine[Any, Any, None]) -> None:  # Any: asyncio's own protocol
        task = asyncio.create_task(rest)
        self._buried.add(task)
        task.add_done_callback(self._buried.discard)

    async def _settle(self) -> None:
        """Wait until nothing is left of the sandboxes that were closed."""
        while self._buried:
            await asyncio.wait(self._buried)

    async def close(self) -> None:
        """See Platform."""
        await self._settle()
        await self._nursery.close()
        await self._launcher.close()
        if self._cgroups is not None:
            self._cgroups.close()


@asynccontextmanager
async def _begun(process: LinuxProcess) -> AsyncIterator[None]:
    """End a process of which the block raises: nobody will ever serve it."""
    try:
        yield
    except BaseException:
        for each in process.sockets.values():
            each.close()
        await asyncio.shield(process.close())
        raise


def _file_system(path: Path) -> int:
    """Give the number of the file system that `path` is on, or will be when it is made."""
    there = next(place for place in (path, *path.parents) if place.exists())
    return there.stat().st_dev


def _hand_over(inside: tuple[int, int, int], prepared: Prepared) -> None:
    """Give the pipes to the program's user: /dev/stderr is opened by name, as any file of an owner."""
    if os.geteuid() == 0:
        for descriptor in inside:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.fchown(descriptor, *prepared.user)


def _insist(
    findings: tuple[Finding, ...], plan: SandboxPlan, among: frozenset[Feature] = frozenset(Feature)
) -> None:
    """Refuse a sandbox of which `findings` do not show what the plan requires `among` these."""
    found = {finding.feature: finding for finding in findings}
    for feature, need in plan.needs.items():
        if need is not Need.REQUIRED or feature not in among:
            continue
        finding = found.get(feature)
        if finding is None:
            raise CannotConfine(feature.value, "the launcher did not report it")
        if finding.support is Support.NONE:
            raise CannotConfine(feature.value, finding.why, finding.mend)
