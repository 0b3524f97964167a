"""`true` in a sandbox from a live kernel, against every other way that installs here."""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.measure import Action, Row, compare, missing
from benchmarks.peers import Peer, peers
from cloche.model.limits import LIMIT_CLASSES
from cloche.platforms.linux.host import read_host_system
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.layout import system_mounts
from cloche.sandbox.mounts import BindWritable, ordered
from cloche.sandbox.plan import NetworkPlan, SandboxPlan

_WARM, _COLD = "spawn of `true`, made ahead", "spawn of `true`, nothing made ahead"
_PAUSE = 0.03  # seconds: what lies between two commands of an agent, and then some
_LIMITS = LIMIT_CLASSES["tool"]
_FEW = 12  # turns of what takes long


async def rows(turns: int = 60) -> list[Row]:
    """Measure with everything on (seccomp, Landlock, control groups); the peers have what they have.

    The launcher runs in both cases: nothing made ahead means that a kernel which
    has been idle makes the whole sandbox when it is asked for one.
    """
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as place:
        stage, home = Path(place, "project"), Path(place, "peers")
        for each in (Path(place), stage, home):
            each.mkdir(exist_ok=True)
            each.chmod(0o755)  # the program inside is another user
        found = []
        tried = await peers(stage, home)
        for name, ahead, target in ((_WARM, 2, 0.25), (_COLD, 0, 0.5)):
            platform = LinuxPlatform(ahead)
            try:
                ours = runner(platform, plan(stage, ("/usr/bin/true",)))
                found += await _against_all(name, ours, tried, turns, target)
            finally:
                await platform.close()
        return found


async def _against_all(
    name: str, ours: Action, tried: list[Peer], turns: int, target: float
) -> list[Row]:
    """Give a row a peer; what we promise is promised against bwrap."""
    alive = [peer for peer in tried if not peer.missing]
    quick = {peer.name: peer.run for peer in alive if not peer.slow}
    found = await compare(name, ours, quick, turns=turns, targets={"bwrap": target}, reset=_pause)
    # One by one: a peer that changes the host's mounts makes what we have made ahead stale.
    for peer in alive:
        if peer.slow:
            found += await compare(
                name, ours, {peer.name: peer.run}, turns=min(turns, _FEW), reset=_pause
            )
    found += [missing(name, peer.name, peer.missing) for peer in tried if peer.missing]
    # Without a pause a sandbox pays for the end of the last one, and for the making of the next.
    at_once = {peer.name: peer.run for peer in tried if peer.name == "bwrap" and not peer.missing}
    return [*found, *await compare(f"{name}, back to back", ours, at_once, turns=turns)]


async def _pause() -> None:
    await asyncio.sleep(_PAUSE)


def runner(platform: LinuxPlatform, what: SandboxPlan) -> Action:
    """Give the action of running `what` to its end, reading all it prints."""

    async def run() -> None:
        process = await platform.spawn(what)
        while await process.read_output() is not None:
            pass
        ended = await process.wait_exited()
        await process.close()
        if ended.status != 0:
            raise RuntimeError(f"the program ended with {ended.status}")

    return run


def plan(stage: Path, argv: tuple[str, ...]) -> SandboxPlan:
    """Give the plan of `argv` in the directory `stage`, with limits and without network."""
    system = system_mounts(read_host_system(), memory_bytes=_LIMITS.memory_bytes, trust_roots=False)
    return SandboxPlan(
        step="bench",
        argv=argv,
        env={"PATH": "/usr/bin:/bin"},
        cwd="/project",
        mounts=ordered((*system, BindWritable(source=str(stage), target="/project"))),
        writable=("/project", "/tmp", "/home/user"),
        limits=_LIMITS,
        network=NetworkPlan(observed=False),
    )
