"""A run from its first event to its last: transaction begun, body, commit or rollback."""

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cloche.errors import ClocheError, SystemRefused
from cloche.kernel.conclusion import Work, conclude
from cloche.kernel.context import ExecutionContext, RunResult
from cloche.kernel.ends import in_thread, past_return
from cloche.kernel.errors import StepFailed
from cloche.kernel.parts import Part
from cloche.kernel.remembered import recall
from cloche.kernel.session import Machine, Session
from cloche.kernel.sessions import Sessions, sessions_of
from cloche.kernel.stream import EventStream
from cloche.kernel.typed import host_rules
from cloche.kernel.writing import wait_to_write
from cloche.model.event import (
    ArtifactMade,
    Note,
    RunFinished,
    RunStarted,
)
from cloche.policy.schema import Policy
from cloche.runtimes.provider import RuntimeProvider
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

_KEPT = (
    "the steps that were done are kept, outside of the project: the next `cloche {verb}` goes on "
    "from there, and runs again what depends on anything that you change (--fresh: all)"
)
_NOT_KEPT = "steps of several parts at once are not kept: the next run does them again"
_COPIED = "steps get a copy of the project, which takes time and room, since overlays are refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the runs of a project follow."""

    machine: Machine
    policy: Policy
    context: ExecutionContext
    provider: RuntimeProvider
    """Of the whole project."""
    parts: tuple[Part, ...]
    """What the verbs are for; none in a directory of no runtime."""
    state_home: Path


async def execute(work: Work, terms: Terms, stream: EventStream) -> RunResult:
    """Carry out `work` in one transaction; the last event is always RunFinished.

    Raises the ClocheError that ended it; the project is then as it was, unless
    the caller chose to keep what a failed run left.
    """
    began = time.monotonic()
    job = uuid.uuid4().hex[:12]
    stream.emit(
        RunStarted(
            job=job,
            verb=work.verb,
            project=str(terms.context.project_root),
            steps=(),
            parts=tuple((part.name, part.claim.detection.stack) for part in terms.parts),
        )
    )
    try:
        result = await _typed(_transact(work, terms, stream, job, began), work, terms)
    except ClocheError as error:
        stream.emit(
            RunFinished(
                outcome="failed",
                code=error.code,
                message=error.headline,
                reasons=error.reasons,
                remedy=error.remedy,
                seconds=time.monotonic() - began,
            )
        )
        raise
    except asyncio.CancelledError:
        stream.emit(RunFinished(outcome="cancelled", seconds=time.monotonic() - began))
        raise
    stream.emit(RunFinished(outcome="ok", seconds=result.seconds))
    return result


async def _typed(running: Awaitable[RunResult], work: Work, terms: Terms) -> RunResult:
    """Give what `running` gives; a refusal of the system, such as a full disk, is an error of ours."""
    try:
        return await running
    except OSError as error:
        doing = f"{work.verb} on {terms.context.project_root}, state in {terms.state_home} or beside the project"
        raise SystemRefused(doing, error) from error


async def _transact(
    work: Work, terms: Terms, stream: EventStream, job: str, began: float
) -> RunResult:
    workspace = await in_thread(
        Workspace.open,
        terms.context.project_root,
        terms.state_home,
        collect=terms.machine.platform.collect,
    )
    try:
        await wait_to_write(workspace, terms.context.project_root, work.options, stream.emit)
        if work.resumes and work.options.fresh:
            await in_thread(workspace.forget_work)
        owned = tuple(name for part in terms.parts for name in part.owned)
        resumes = work.resumes and len(terms.parts) == 1
        transaction = await in_thread(workspace.begin, owned=owned, resumes=resumes)
        try:
            session = _session(work, terms, transaction, stream, job)
            sessions = await in_thread(sessions_of, session, terms.parts)
            group = terms.context.project_root.stat().st_gid
            if warning := group_warning(user=os.geteuid(), group=os.getegid(), of_project=group):
                stream.emit(Note(text=warning))
            if refused := terms.machine.features.refused_overlay:
                stream.emit(Note(text=f"{_COPIED}: {refused}"))
            made, status = await _body(work, sessions)
            conclusion = await conclude(work, session, transaction, status)
        except BaseException:
            # Also on cancellation: what was not committed never happened.
            with suppress(ClocheError, OSError):
                if await in_thread(transaction.set_aside):
                    stream.emit(Note(text=_KEPT.format(verb=work.verb)))
                elif work.resumes and len(terms.parts) > 1:
                    stream.emit(Note(text=_NOT_KEPT))
            raise
    finally:
        await past_return(workspace.close)  # what was committed before an interrupt stays said
    return RunResult(
        verb=work.verb,
        outcome="ok" if status == 0 else "failed",
        exit_status=status,
        seconds=time.monotonic() - began,
        artifact=made[0] if len(made) == 1 else None,
        artifacts=made,
        committed=conclusion.committed,
        held=conclusion.held,
        denials=sessions.denials(),
        containment=sessions.containment(),
        trials=sessions.trials(),
    )


def group_warning(*, user: int, group: int, of_project: int) -> str:
    """Say what will not work in a project of another group, "" when all will.

    A user namespace made without privilege maps one group; overlayfs cannot copy up
    what belongs to another and answers EOVERFLOW. user_namespaces(7).
    """
    if user == 0 or group == of_project:
        return ""
    return (
        f"the project belongs to group {of_project} and you run with group {group}: files that are "
        f'there cannot be changed inside ("Value too large for defined data type"); start with '
        "that group (newgrp, sg), or give them yours with chgrp -R"
    )


async def _body(work: Work, sessions: Sessions) -> tuple[tuple[ArtifactMade, ...], int]:
    """Run the verb; a command a person typed may fail without that being an error of ours."""
    try:
        return await work.body(sessions), 0
    except StepFailed as failure:
        if work.verb != "run":
            raise
        return (), failure.status


def _session(
    work: Work, terms: Terms, transaction: Transaction, stream: EventStream, job: str
) -> Session:
    return Session(
        machine=terms.machine,
        policy=terms.policy,
        context=terms.context.within(work.options, host_rules(work.options.network)),
        options=work.options,
        provider=terms.provider,
        transaction=transaction,
        whole=transaction,
        emit=stream.emit,
        job=job,
        remembered=recall(terms.provider, terms.machine),
    )
