"""A running step watched to its end: output passed on, input fed, the disk measured."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cloche.egress.egress import Egress
from cloche.kernel.lines import LineReader
from cloche.kernel.places import Places
from cloche.kernel.quota import watch_disk
from cloche.kernel.session import Session
from cloche.model.event import Denied, Output
from cloche.model.grant import Grant
from cloche.model.step import Step
from cloche.sandbox.platform import Exit, SandboxedProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A step whose program runs behind its barriers."""

    step: Step
    grant: Grant
    places: Places
    process: SandboxedProcess
    egress: Egress
    held: tuple[int, int]
    """Bytes and files that were there before the program, and are not its own."""


async def follow(running: Running, session: Session) -> tuple[Exit, frozenset[str]]:
    """Pass on what the program prints, hold its disk limit, wait for its end; with the codes found."""
    process, step = running.process, running.step
    parser = session.provider.parser(step.parser) if step.parser else None
    reader = LineReader(step.id, parser, step.expected, session.emit)
    held, kept = running.held, running.places.kept
    limits = running.grant.limits
    async with watch_disk(session.transaction, limits, process, held=held, kept=kept) as quota:
        feeding = asyncio.create_task(_feed(process, session))
        try:
            while (chunk := await process.read_output()) is not None:
                stream, data = chunk
                session.emit(Output(step=step.id, stream=stream, data=data))
                reader.feed(stream, data)
            ended = await process.wait_exited()
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding
    reader.end(ended.status)
    if quota.breached:
        ended = Exit(status=ended.status, limit=quota.breached, detail=quota.detail)
    elif running.egress.is_exhausted:
        moved = f"more than {limits.network_bytes} bytes were to be moved"
        ended = Exit(status=ended.status, limit="network_bytes", detail=moved)
    if ended.limit:
        session.note(
            Denied(
                step=step.id,
                rule=f"limits.{ended.limit}",
                tried=f"exceed {ended.limit} = {getattr(limits, ended.limit, 0):.15g}",
                remedy=f"raise limits.{ended.limit} in the policy if the work is honest",
            )
        )
    return ended, frozenset(reader.codes)


async def _feed(process: SandboxedProcess, session: Session) -> None:
    source = session.options.stdin
    if source is None:
        return
    while data := await _in_own_thread(source):
        await process.write_input(data)
    await process.write_input(b"")


async def _in_own_thread(source: Callable[[], bytes]) -> bytes:
    """Read in a thread that nobody waits for: one of the pool's would hold up the exit until input comes."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    def settle(data: bytes, failure: Exception | None) -> None:
        if answer.done():
            return  # the run has ended meanwhile
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(data)

    def read() -> None:
        data, failure = b"", None
        try:
            data = source()
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, data, failure)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return await answer
