"""`true` in a sandbox from a live kernel, against bubblewrap with the same namespaces and the same tree."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import Row, compare, missing
from cloche.model.limits import LIMIT_CLASSES
from cloche.platforms.linux.host import read_host_system
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.layout import system_mounts
from cloche.sandbox.mounts import BindWritable, ordered
from cloche.sandbox.plan import NetworkPlan, SandboxPlan

_NAME = "spawn of `true` from a live kernel"
_PAUSE = 0.03  # seconds: what lies between two commands of an agent, and then some
_LIMITS = LIMIT_CLASSES["tool"]


async def rows(turns: int = 60) -> list[Row]:
    """Measure with everything on (seccomp, Landlock, control groups), which bwrap does not have."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return [missing(_NAME, "bwrap", "bwrap is not installed (Debian: apt install bubblewrap)")]
    platform = LinuxPlatform()
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as stage:
        Path(stage).chmod(0o755)
        plan = _plan(stage)

        async def ours() -> None:
            process = await platform.spawn(plan)
            while await process.read_output() is not None:
                pass
            ended = await process.wait_exited()
            await process.close()
            if ended.status != 0:
                raise RuntimeError(f"true ended with {ended.status}")

        async def peer() -> None:
            process = await asyncio.create_subprocess_exec(
                bwrap, *_bwrap(stage), stdin=-3, stdout=-1, stderr=-1
            )
            await process.communicate()
            if process.returncode != 0:
                raise RuntimeError(f"bwrap ended with {process.returncode}")

        async def pause() -> None:
            await asyncio.sleep(_PAUSE)

        peers = {"bwrap": peer}
        try:
            return [
                *await compare(_NAME, ours, peers, turns=turns, target=0.6, reset=pause),
                # Without a pause the next sandbox is not made yet, and its making is paid for too.
                *await compare(f"{_NAME}, back to back", ours, peers, turns=turns),
            ]
        finally:
            await platform.close()


def _plan(stage: str) -> SandboxPlan:
    system = system_mounts(read_host_system(), memory_bytes=_LIMITS.memory_bytes, trust_roots=False)
    return SandboxPlan(
        step="bench",
        argv=("/usr/bin/true",),
        env={"PATH": "/usr/bin:/bin"},
        cwd="/project",
        mounts=ordered((*system, BindWritable(source=stage, target="/project"))),
        writable=("/project", "/tmp", "/home/user"),
        limits=_LIMITS,
        network=NetworkPlan(observed=False),
    )


def _bwrap(stage: str) -> list[str]:
    """Give the same tree and namespaces in bubblewrap's words."""
    arguments = [
        "--unshare-all",
        "--unshare-user",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
    ]
    arguments += ["--cap-drop", "ALL", "--hostname", "cloche", "--uid", "1000", "--gid", "1000"]
    arguments += ["--setenv", "PATH", "/usr/bin:/bin", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib64"):
        arguments += ["--symlink", f"usr/{name}", f"/{name}"]
    for name in ("ld.so.cache", "localtime", "alternatives"):
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home/user"]
    return [*arguments, "--bind", stage, "/project", "--chdir", "/project", "/usr/bin/true"]
