"""What the trials inside a sandbox showed: read from its launcher, and heard by the host itself."""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from cloche.egress.nflog import refused_packets
from cloche.model.trial import Trial, Verdict
from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.features import Feature, Need
from cloche.sandbox.plan import SandboxPlan
from cloche_launch.trials import ADDRESS, ADDRESS_IPV6, BARRIERS, PORT, REFUSED_HERE

_HEARD = "hear-refusals"
_LONGEST = 200
# Which packet each of these sends, in the order in which they are tried.
_PACKETS = {
    "connect-out": ("tcp", ADDRESS, PORT),
    "connect-out-ipv6": ("tcp", ADDRESS_IPV6, PORT),
    "send-out": ("udp", ADDRESS, PORT),
}


def insisted(plan: SandboxPlan) -> tuple[str, ...]:
    """Name the trials without which the plan's program may not start."""
    return tuple(
        name
        for name, barrier in BARRIERS.items()
        if plan.needs.get(Feature(barrier)) is Need.REQUIRED
    )


def read_trials(
    facts: Mapping[str, Any], sockets: Mapping[str, socket.socket]
) -> tuple[Trial, ...]:  # Any: JSON from the launcher
    """Give every trial's outcome; one that was not reported was not held.

    Takes the trials' own refusals off the socket where refusals are heard, so
    that none of them passes for the program's.
    """
    told = {str(name): (verdict, detail) for name, verdict, detail in facts.get("trials", ())}
    tried = tuple(
        _trial(name, barrier, *told.get(name, (Verdict.NOT_HELD.value, "it was not reported")))
        for name, barrier in BARRIERS.items()
    )
    return (*tried, _hear(tried, sockets.get("nflog")))


def refusal_of(trial: str, detail: str) -> CannotConfine:
    """Give the error for a trial that was not held; `detail` says what was possible."""
    barrier = BARRIERS.get(trial, Feature.EGRESS_FILTER.value)
    return CannotConfine(barrier, f"{trial}, tried inside, was not held: {detail[:_LONGEST]}")


def insist_on_trials(trials: Sequence[Trial], plan: SandboxPlan) -> None:
    """Raise CannotConfine for a trial of a required barrier that was not held.

    The launcher has refused the exec already for those of its own; whether
    refusals are heard is known to the host alone, a moment after the start.
    """
    for trial in trials:
        required = plan.needs.get(Feature(trial.barrier)) is Need.REQUIRED
        if required and trial.verdict is Verdict.NOT_HELD:
            raise refusal_of(trial.name, trial.detail)


def _trial(name: str, barrier: str, verdict: Any, detail: Any) -> Trial:  # Any: JSON
    return Trial(
        name=name, barrier=barrier, verdict=Verdict(verdict), detail=str(detail)[:_LONGEST]
    )


def _hear(tried: Sequence[Trial], log: socket.socket | None) -> Trial:
    """Take the refusals of the trials off `log`: they came before all that the program could do."""
    barrier = Feature.EGRESS_FILTER.value
    if log is None:
        why = "no nf_tables: refusals are not heard"
        return _trial(_HEARD, barrier, Verdict.UNABLE.value, why)
    expected = [
        _PACKETS[trial.name]
        for trial in tried
        if trial.name in _PACKETS and trial.detail == REFUSED_HERE
    ]
    for packet in expected:
        if not _take(log, packet):
            why = f"{packet[0]} to {packet[1]} was refused and not heard"
            return _trial(_HEARD, barrier, Verdict.NOT_HELD.value, why)
    if not expected:
        return _trial(_HEARD, barrier, Verdict.UNABLE.value, "nothing was refused by our rules")
    detail = f"{len(expected)} of {len(expected)} refusals were heard"
    return _trial(_HEARD, barrier, Verdict.HELD.value, detail)


def _take(log: socket.socket, packet: tuple[str, str, int]) -> bool:
    """Take the next message when it tells of `packet` alone; another is left for who serves."""
    flags = socket.MSG_DONTWAIT
    try:
        if refused_packets(log.recv(65_536, flags | socket.MSG_PEEK)) != [packet]:
            return False
        log.recv(65_536, flags)
    except OSError:
        return False
    return True
