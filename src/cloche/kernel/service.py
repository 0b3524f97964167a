"""A step that serves: started, seen to listen, seen to answer, and gone when its block ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cloche.egress.preview import Preview
from cloche.kernel.ends import to_its_end
from cloche.kernel.errors import InvariantBroken, NotReady, PortUnavailable
from cloche.kernel.following import Running
from cloche.kernel.pipeline import start_step
from cloche.kernel.session import Session
from cloche.model.event import Output, PreviewListening, PreviewReady, StepFinished
from cloche.model.step import Plan, Probe, Step

_KILLED = 137  # by us, as a shell would put it


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that answers on the host's loopback."""

    running: Running
    url: str
    ended: "asyncio.Task[None]"
    """Done when the program has ended by itself."""


@asynccontextmanager
async def serve(
    step: Step, plan: Plan, session: Session, *, port: int = 0
) -> AsyncIterator[Service]:
    """Run `step` until the block ends; yields when it answers. Raises NotReady, PortUnavailable."""
    if step.probe is None:
        raise InvariantBroken(step.id, "I6", "a service needs a probe")
    async with start_step(step, plan, session) as running:
        preview = Preview(
            step=step.id,
            inner_sockets=running.process.inner_sockets,
            inner_port=step.probe.port,
            host_port=port,
        )
        ended = asyncio.create_task(_drain(running, session))
        try:
            host_port = await _listen(preview, port)
            url = f"http://127.0.0.1:{host_port}/"
            try:
                await _wait_ready(step, step.probe, preview, ended, url, session)
            except NotReady as problem:
                status = (await running.process.wait_exited()).status if ended.done() else _KILLED
                finished = StepFinished(
                    step=step.id, outcome="failed", exit_status=status, why=problem.why
                )
                session.emit(finished)
                raise
            yield Service(running=running, url=url, ended=ended)
        finally:
            ended.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ended
            await to_its_end(preview.close())


async def _listen(preview: Preview, port: int) -> int:
    try:
        return await preview.start()
    except OSError as error:
        raise PortUnavailable(port, error.strerror or str(error)) from error


async def _drain(running: Running, session: Session) -> None:
    while (chunk := await running.process.read_output()) is not None:
        session.emit(Output(step=running.step.id, stream=chunk[0], data=chunk[1]))


async def _wait_ready(
    step: Step,
    probe: Probe,
    preview: Preview,
    ended: "asyncio.Task[None]",
    url: str,
    session: Session,
) -> None:
    # Something listening is not yet something answering: a dev server compiles on its first request.
    async def up() -> None:
        await preview.wait_listening()
        session.emit(PreviewListening(step=step.id, port=probe.port))
        await preview.wait_answer(probe.path, probe.statuses)

    waiting = asyncio.create_task(up())
    done, _ = await asyncio.wait(
        {waiting, ended}, timeout=probe.ready_seconds, return_when=asyncio.FIRST_COMPLETED
    )
    if waiting in done and waiting.exception() is None:
        session.emit(PreviewReady(step=step.id, url=url))
        return
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await waiting
    if ended in done:
        raise NotReady(step.id, "its program ended before it answered")
    raise NotReady(step.id, f"no answer on port {probe.port} within {probe.ready_seconds:g} s")
