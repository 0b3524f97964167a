"""The disk limit of a running step: free space is watched, the layer measured when it shrinks."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cloche.model.limits import Limits
from cloche.sandbox.platform import SandboxedProcess
from cloche.workspace.transaction import Transaction

_INTERVAL = 0.25
_TRIGGER = 16


@dataclass(slots=True)
class Quota:
    """What the watcher found: the name of the breached limit, "" while all is well."""

    breached: str = ""
    detail: str = ""


@asynccontextmanager
async def watch_disk(
    transaction: Transaction, limits: Limits, process: SandboxedProcess
) -> AsyncIterator[Quota]:
    """Kill `process` when the transaction outgrows `disk_bytes` or `inodes`.

    Late by at most one interval; a single file is bounded at once by
    RLIMIT_FSIZE, and the commit screens the total again. Walking a large
    layer costs, so it is done only when the file system lost a part of the
    limit since the last look.
    """
    quota = Quota()
    task = asyncio.create_task(_watch(transaction, limits, process, quota))
    try:
        yield quota
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(
    transaction: Transaction, limits: Limits, process: SandboxedProcess, quota: Quota
) -> None:
    bytes_then, inodes_then = _free(transaction)
    while not quota.breached:
        await asyncio.sleep(_INTERVAL)
        bytes_now, inodes_now = _free(transaction)
        shrunk = bytes_then - bytes_now > limits.disk_bytes // _TRIGGER
        if not shrunk and inodes_then - inodes_now <= limits.inodes // _TRIGGER:
            continue
        bytes_then, inodes_then = bytes_now, inodes_now
        used, entries = await asyncio.to_thread(transaction.usage)
        if used > limits.disk_bytes:
            quota.breached, quota.detail = "disk_bytes", f"{used} bytes written"
        elif entries > limits.inodes:
            quota.breached, quota.detail = "inodes", f"{entries} files made"
        if quota.breached:
            await process.terminate(0.0)


def _free(transaction: Transaction) -> tuple[int, int]:
    state = os.statvfs(transaction.upper)
    return state.f_bavail * state.f_frsize, state.f_favail
