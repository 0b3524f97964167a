"""What the end of a step means: judged from facts alone."""

from collections.abc import Iterable

from cloche.kernel.errors import NetworkWanted, StepFailed
from cloche.model.diagnostic import NO_NETWORK
from cloche.model.event import Denied
from cloche.model.step import Net, Step
from cloche.sandbox.platform import Exit


def may_fall_back(step: Step, codes: frozenset[str]) -> bool:
    """Tell whether the step that stands for `step` may help where these diagnostics were found."""
    return step.fallback is not None and (
        not step.fallback_codes or bool(step.fallback_codes & codes)
    )


def judge(step: Step, ended: Exit, codes: frozenset[str]) -> tuple[str, str]:
    """Give (outcome as StepFinished has it, why)."""
    if ended.limit:
        return "limit", f"{ended.limit}: {ended.detail}"
    if ended.status == 0:
        return "ok", ""
    bearable = step.optional or may_fall_back(step, codes)
    return ("warned" if bearable else "failed"), ended.detail


def failure_of(
    step: Step, ended: Exit, codes: frozenset[str], denials: Iterable[Denied]
) -> StepFailed:
    """Give the error of a step that failed: a network that it was refused is named as the reason."""
    failure = StepFailed(step.id, step.title, ended.status, codes)
    wanted = tuple(
        denied.tried
        for denied in denials
        if denied.step == step.id and denied.rule.startswith("network.")
    )
    # Many tools ask the network and go on without: what else was found is then the reason.
    is_reason = step.net is Net.NONE and (not codes or NO_NETWORK in codes)
    return NetworkWanted(failure, wanted) if wanted and is_reason else failure
