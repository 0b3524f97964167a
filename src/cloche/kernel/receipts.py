"""What a run says of itself: gathered step by step, signed when its package is made.

Only steps that ended before the package was made can be in: what `validate`
runs afterwards, to see the package answer, comes too late to be signed with it.
A run that fails signs nothing.
"""

import platform
from datetime import UTC, datetime
from importlib.metadata import version

from cloche.artifact.receipt import (
    Barrier,
    Consumption,
    Receipt,
    Refused,
    StepReceipt,
    Tool,
)
from cloche.kernel.session import Session
from cloche.model.event import UsageMeasured
from cloche.model.grant import Grant
from cloche.sandbox.report import EnforcementReport

_MOST_REFUSED = 100


def receipt_of(
    grant: Grant, report: EnforcementReport, usage: UsageMeasured, now: float
) -> StepReceipt:
    """Give the receipt of a step that has just ended. Pure."""
    step = grant.step
    return StepReceipt(
        step=step.id,
        argv=step.argv,
        started=_time(now - usage.wall_seconds),
        network=step.net.value,
        barriers=tuple(Barrier(name=n, support=s, why=w) for n, s, w in report.rows()),
        trials=report.trials,
        limits=grant.limits,
        peaks=Consumption(
            wall_seconds=round(usage.wall_seconds, 3),
            cpu_seconds=None if usage.cpu_seconds is None else round(usage.cpu_seconds, 3),
            memory_peak_bytes=usage.memory_peak_bytes,
            processes_peak=usage.processes_peak,
            network_bytes=usage.network_bytes,
        ),
    )


def receipt_of_run(session: Session) -> Receipt:
    """Give the receipt of all that this run has done so far."""
    machine = session.machine
    refused = [Refused(step=d.step, rule=d.rule, tried=d.tried) for d in session.denials]
    return Receipt(
        cloche=version("cloche"),
        kernel=platform.release(),
        architecture=platform.machine(),
        policy=session.policy.digest,
        signed=_time(machine.now()),
        steps=tuple(session.receipts),
        refused=tuple(refused[:_MOST_REFUSED]),
        refused_count=len(refused),
        tools=tuple(
            Tool(name=tool.name, version=tool.version, sha256=tool.digest)
            for tool in machine.toolchains.values()
        ),
    )


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, tz=UTC).isoformat(timespec="seconds")
