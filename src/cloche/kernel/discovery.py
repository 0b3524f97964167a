"""Asking the user's own tool what it is configured to use, outside of any project."""

import asyncio
from dataclasses import replace

from cloche.kernel.errors import StepFailed
from cloche.kernel.pipeline import start_step
from cloche.kernel.registry import Registry, learn
from cloche.kernel.session import Session
from cloche.model.event import StepFinished
from cloche.model.step import Plan, Projection, Source

_LONGEST = 4 << 20


async def learn_registry(session: Session) -> Registry | None:
    """Run the provider's discovery step and learn the hosts it names; None when it has none.

    The step is tool code over an empty directory, without network: nothing of
    the project can influence what is learned.
    """
    provider = session.provider
    step = provider.discovery(session.facts())
    if step is None:
        return None
    plan = Plan(
        verb="discover",
        steps=(step,),
        projections=tuple(
            Projection(ref=mount.ref, files={})
            for mount in step.mounts
            if mount.source is Source.PROJECTION
        ),
    )
    printed = bytearray()
    async with start_step(step, plan, session) as running:
        while (chunk := await running.process.read_output()) is not None:
            if chunk[0] == "stdout" and len(printed) < _LONGEST:
                printed += chunk[1]
        ended = await running.process.wait_exited()
    outcome = "ok" if ended.status == 0 else "failed"
    session.emit(StepFinished(step=step.id, outcome=outcome, exit_status=ended.status))
    if ended.status != 0:
        raise StepFailed(step.id, step.title, ended.status)
    facts = provider.read_discovery(bytes(printed))
    return await asyncio.to_thread(
        learn,
        facts,
        provider.user_config,
        session.machine.environment,
        name=step.registry or provider.runtime_id,
    )


async def allow_registries(session: Session) -> None:
    """Add the hosts of the user's own registries to what this run may reach, since a person asked."""
    session.registry = session.registry or await learn_registry(session)
    if session.registry is not None:
        hosts = (*session.context.hosts, *session.registry.hosts)
        session.context = replace(session.context, hosts=hosts)
