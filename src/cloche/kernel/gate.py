"""Policy and capability agree to a step, or nothing starts. The only maker of a Grant."""

from dataclasses import replace

from cloche.capability.check import check
from cloche.kernel.context import ExecutionContext
from cloche.kernel.errors import Refusal, StepDenied
from cloche.model.action import Action, Connect, Execute
from cloche.model.grant import Grant
from cloche.model.hosts import HostRule, NetworkMode
from cloche.model.limits import LIMIT_CLASSES, Limits
from cloche.model.step import Net, Step
from cloche.policy.decision import Effect
from cloche.policy.engine import describe, evaluate
from cloche.policy.explain import remedy
from cloche.policy.schema import Policy

_OFFLINE = Refusal(
    reason="context.network_policy: this run has no network",
    tried="reach the network",
    change="give a context whose network_policy is RESTRICTED",
)


def gate(
    step: Step,
    context: ExecutionContext,
    policy: Policy,
    *,
    hosts: tuple[HostRule, ...],
    hidden: tuple[str, ...],
    now: float,
    budget_bytes: int,
    by_person: bool = False,
) -> Grant:
    """Judge everything `step` is about to be given; raise StepDenied with every reason.

    `hosts` are the hosts the step asks for: those of its registry, or those a
    person named. `hidden` are the files of the project that the policy hides.
    `now` is the time capabilities are judged at. `budget_bytes` is all that may be
    held at once: a ceiling above it could never be admitted, and is lowered.
    """
    actions: list[Action] = [Execute(argv=step.argv, trust=step.trust, typed_by_person=by_person)]
    if step.net in (Net.REGISTRY, Net.HOSTS):
        if context.network_policy is NetworkMode.NONE:
            raise StepDenied(step.id, (_OFFLINE,))
        actions += [
            Connect(host=rule.pattern.text, port=port, origin=rule.origin)
            for rule in hosts
            for port in rule.ports
        ]
    reasons: list[str] = []
    refused: list[Refusal] = []
    for action in actions:
        decision = evaluate(policy, action)
        verdict = check(context.capabilities, action, now)
        tried = describe(action)
        if decision.effect is Effect.DENY:
            change = f"{remedy(action, decision)} in the policy"
            refused += [Refusal(reason=r, tried=tried, change=change) for r in decision.reasons]
        if not verdict.allowed:
            change = "ask whoever gave the capabilities for more"
            refused += [Refusal(reason=r, tried=tried, change=change) for r in verdict.reasons]
        reasons += [*decision.reasons, *verdict.reasons]
    if refused:
        raise StepDenied(step.id, tuple(dict.fromkeys(refused)))
    limits = ceilings(step, context, policy)
    return Grant(
        step=step,
        limits=replace(limits, memory_bytes=min(limits.memory_bytes, budget_bytes)),
        hosts=hosts if step.net in (Net.REGISTRY, Net.HOSTS) else (),
        hidden=hidden,
        required=policy.required,
        reasons=tuple(dict.fromkeys(reasons)),
    )


def ceilings(step: Step, context: ExecutionContext, policy: Policy) -> Limits:
    """Give the strictest of the step's class, the policy and the caller's terms. Pure."""
    return context.narrowed(LIMIT_CLASSES[step.limits].capped_by(policy.limits_for(step.limits)))
