"""Sandboxes that were made before their plan was known."""

import asyncio
import os
import select
import signal
from pathlib import Path

from tests.contain.jail import plan

from cloche.platforms.linux.spawn import LinuxPlatform


async def run_once(platform: LinuxPlatform, stage: Path) -> int:
    process = await platform.spawn(plan(stage, {"argv": ["true"], "observed": False}))
    await process.write_input(b"")
    ended = await process.wait_exited()
    for each in process.sockets.values():
        each.close()
    await process.close()
    return ended.status


def test_a_sandbox_killed_while_it_waited_is_replaced(tmp_path: Path) -> None:
    async def whole() -> tuple[int, int]:
        platform = LinuxPlatform()
        try:
            first = await run_once(platform, tmp_path / "first")
            task = platform._nursery._task
            assert task is not None
            await task
            for waiting in platform._nursery._ready:
                os.kill(waiting.pid, signal.SIGKILL)
                select.select([waiting.pidfd], [], [], 10)  # readable with the death
            return first, await run_once(platform, tmp_path / "second")
        finally:
            await platform.close()

    assert asyncio.run(whole()) == (0, 0)
