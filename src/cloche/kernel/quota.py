"""The disk limit of a running step: free space is watched, the layer measured when it shrinks."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cloche.model.limits import Limits
from cloche.sandbox.platform import SandboxedProcess
from cloche.workspace.errors import TreeTooLarge
from cloche.workspace.subtree import Subtree
from cloche.workspace.usage import measure_place, measure_private

_INTERVAL = 0.25
_TRIGGER = 16
_RESERVE = 20  # below a twentieth of the file system the disk is nearly full


@dataclass(slots=True)
class Quota:
    """What the watcher found: the name of the breached limit, "" while all is well."""

    breached: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What the file system has left."""

    free_bytes: int
    total_bytes: int
    free_inodes: int


@asynccontextmanager
async def watch_disk(
    transaction: Subtree,
    limits: Limits,
    process: SandboxedProcess,
    *,
    held: tuple[int, int] = (0, 0),
    kept: tuple[Path, ...] = (),
) -> AsyncIterator[Quota]:
    """Kill `process` when the transaction outgrows `disk_bytes` or `inodes`.

    Late by at most one interval; a single file is bounded at once by
    RLIMIT_FSIZE, and the commit screens the total again. Walking a large
    layer costs, so it is done only when the file system lost a part of the
    limit since the last look. A file that is deleted and still open is in no
    walk: it counts when the disk is nearly full. `held` are the (bytes, files) that
    were there before the program, and are not its own; `kept` are directories outside of the
    transaction that count as well.
    """
    quota = Quota()
    ended = asyncio.Event()
    task = asyncio.create_task(_watch(transaction, limits, process, quota, ended, held, kept))
    try:
        yield quota
    finally:
        # Never cancelled: a measuring thread would go on in a tree that is being committed.
        ended.set()
        await task


async def _watch(
    transaction: Subtree,
    limits: Limits,
    process: SandboxedProcess,
    quota: Quota,
    ended: asyncio.Event,
    held: tuple[int, int],
    kept: tuple[Path, ...],
) -> None:
    start = then = _spaces(transaction, process)
    while not quota.breached:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _INTERVAL)
            return
        now = _spaces(transaction, process)
        verdicts = [judge_space(*pair, limits) for pair in zip(start, now, strict=True)]
        quota.breached, quota.detail = max(verdicts)  # "" is the least
        # What others free meanwhile must not hide what is written after it.
        then = tuple(freest(*pair) for pair in zip(then, now, strict=True))
        pairs = zip(then, now, strict=True)
        if not quota.breached and any(has_shrunk(*pair, limits) for pair in pairs):
            then = now
            quota.breached, quota.detail = await asyncio.to_thread(
                _measured, transaction, process, limits, held, kept
            )
    await process.terminate(0.0)


def judge_space(start: Space, now: Space, limits: Limits) -> tuple[str, str]:
    """Say which limit is breached by what the disk lost, seen or not, and how; ("", "") for none. Pure.

    Others write to the disk too, so a loss alone breaches nothing: only when
    there is hardly any left does a step that may have taken it have to go.
    """
    lost = start.free_bytes - now.free_bytes
    if lost > limits.disk_bytes and now.free_bytes < now.total_bytes // _RESERVE:
        return "disk_bytes", f"the disk is nearly full and lost {lost} bytes meanwhile"
    return "", ""


def freest(then: Space, now: Space) -> Space:
    """Give the most that was free at once, of bytes and of inodes. Pure."""
    return Space(
        free_bytes=max(then.free_bytes, now.free_bytes),
        total_bytes=now.total_bytes,
        free_inodes=max(then.free_inodes, now.free_inodes),
    )


def has_shrunk(then: Space, now: Space, limits: Limits) -> bool:
    """Tell whether so much is gone that the layer is worth measuring. Pure."""
    gone, inodes = then.free_bytes - now.free_bytes, then.free_inodes - now.free_inodes
    return gone > limits.disk_bytes // _TRIGGER or inodes > limits.inodes // _TRIGGER


def _measured(
    transaction: Subtree,
    process: SandboxedProcess,
    limits: Limits,
    held: tuple[int, int],
    kept: tuple[Path, ...],
) -> tuple[str, str]:
    try:
        used, entries = transaction.usage()
        sizes = [measure_place(place) for place in kept]
        if process.own_place is not None:
            sizes.append(measure_private(process.own_place))
    except (TreeTooLarge, OSError) as error:
        return "disk_bytes", str(error)  # what cannot be measured is not held
    used += sum(size for size, _ in sizes) - held[0]
    entries += sum(count for _, count in sizes) - held[1]
    if used > limits.disk_bytes:
        return "disk_bytes", f"{used} bytes written"
    if entries > limits.inodes:
        return "inodes", f"{entries} files made"
    return "", ""


def _spaces(transaction: Subtree, process: SandboxedProcess) -> tuple[Space, ...]:
    states = [transaction.space()]
    if process.own_place is not None:
        states.append(os.fstatvfs(process.own_place))
    return tuple(
        Space(
            free_bytes=state.f_bavail * state.f_frsize,
            total_bytes=state.f_blocks * state.f_frsize,
            free_inodes=state.f_favail,
        )
        for state in states
    )
