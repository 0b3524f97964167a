"""Linux as a platform: probes, and a plan turned into a running sandbox."""

import asyncio
import os
import socket
from itertools import count

from cloche.platforms.linux.cgroup import CgroupHome, open_cgroups
from cloche.platforms.linux.host import read_host_system
from cloche.platforms.linux.launcher import Launcher
from cloche.platforms.linux.probe import probe_features
from cloche.platforms.linux.process import LinuxProcess
from cloche.platforms.linux.standing import standing_report
from cloche.sandbox.codec import encode
from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.features import Features, Need, Support
from cloche.sandbox.layout import HostSystem
from cloche.sandbox.plan import SandboxPlan

# Host users that no account has: above every range distributions hand out, below 2^31.
_FIRST_UID = 0x7000_0000
_SLOTS = 4096


class LinuxPlatform:
    """The one way a program is started. One zygote, any number of sandboxes."""

    name = "linux"

    def __init__(self) -> None:
        self._launcher = Launcher()
        self._cgroups: CgroupHome | None = None
        self._features: Features | None = None
        self._probing = asyncio.Lock()
        self._slots = count()

    def host(self) -> HostSystem:
        """See Platform."""
        return read_host_system()

    async def probe(self) -> Features:
        """See Platform."""
        async with self._probing:
            if self._features is None:
                self._features = await probe_features(
                    self.spawn, self._groups(), read_host_system()
                )
        return self._features

    def _groups(self) -> CgroupHome:
        if self._cgroups is None:
            self._cgroups = open_cgroups()
        return self._cgroups

    async def spawn(self, plan: SandboxPlan) -> LinuxProcess:
        """See Platform."""
        number = next(self._slots)
        group = self._groups().create(f"{number}", plan.limits)
        try:
            process = await self._launch(plan, number, group.procs_files, group)
        except BaseException:
            group.kill()
            group.remove()
            raise
        try:
            await process.start()
            process.report = standing_report(process, group, plan)
            _insist(process, plan)
        except BaseException:
            await asyncio.shield(process.close())
            raise
        return process

    async def _launch(
        self, plan: SandboxPlan, number: int, procs_files: tuple[str, ...], group: object
    ) -> LinuxProcess:
        uid, gid = _identity(number)
        document = encode(plan, host_uid=uid, host_gid=gid, procs_files=procs_files, landlock=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inside, streams = _streams(feeds=plan.stdin)
        try:
            with theirs:
                pid, pidfd = await self._launcher.spawn(document, (theirs.fileno(), *inside))
        except BaseException:
            ours.close()
            for descriptor in streams.values():
                os.close(descriptor)
            raise
        finally:
            for descriptor in inside:
                os.close(descriptor)
        ours.setblocking(False)
        return LinuxProcess(
            pid=pid, pidfd=pidfd, channel=ours, streams=streams, limits=plan.limits, group=group
        )

    async def close(self) -> None:
        """See Platform."""
        await self._launcher.close()
        if self._cgroups is not None:
            self._cgroups.close()


def _identity(number: int) -> tuple[int, int]:
    """Give the host's user and group of the program: never 0."""
    if os.geteuid() == 0:
        return _FIRST_UID + number % _SLOTS, _FIRST_UID + number % _SLOTS
    return os.geteuid(), os.getegid()


def _streams(*, feeds: bool) -> tuple[tuple[int, int, int], dict[str, int]]:
    """Make the three standard streams: (their ends inside, our ends by name).

    Always pipes, also when ours is a terminal or a file: a descriptor of the
    host's, once inside, can be reopened with other rights through /proc.
    """
    ours: dict[str, int] = {}
    if feeds:
        inside_in, ours["stdin"] = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours["stdin"], False)
    else:
        inside_in = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    ours["stdout"], inside_out = os.pipe2(os.O_CLOEXEC)
    ours["stderr"], inside_err = os.pipe2(os.O_CLOEXEC)
    for name in ("stdout", "stderr"):
        os.set_blocking(ours[name], False)
    return (inside_in, inside_out, inside_err), ours


def _insist(process: LinuxProcess, plan: SandboxPlan) -> None:
    """Refuse a sandbox whose report lacks what the plan requires; it has not been let go on."""
    for feature, need in plan.needs.items():
        if need is Need.REQUIRED and process.report.support(feature) is Support.NONE:
            finding = next((f for f in process.report.findings if f.feature is feature), None)
            raise CannotConfine(
                feature.value,
                finding.why if finding else "the launcher did not report it",
                finding.mend if finding else "",
            )
