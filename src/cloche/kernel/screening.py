"""Policy and capability over the whole diff: every change judged, every reason kept."""

from dataclasses import dataclass

from cloche.capability.check import check, commit_constraints
from cloche.capability.constraint import least
from cloche.kernel.context import ExecutionContext
from cloche.kernel.own import own_objections, own_places_in
from cloche.kernel.session import Machine
from cloche.model.action import DeleteFile, WriteFile
from cloche.model.paths import JailPath
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate
from cloche.policy.globs import Glob
from cloche.policy.schema import Policy
from cloche.workspace.screen import ScreenRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """Who judges the commit of a run, which may be over."""

    machine: Machine
    policy: Policy
    context: ExecutionContext
    was_hidden: frozenset[str]
    """What of the project the run could not see."""


def screen_rules(judges: Judges) -> ScreenRules:
    """Give the rules that a commit must pass."""
    limits = judges.policy.commit
    own = own_places_in(judges.context.project_root, judges.machine.own_places)
    held = commit_constraints(judges.context.capabilities)
    allowed = tuple(map(Glob, judges.context.allowed_paths))
    return ScreenRules(
        max_bytes=least(limits.max_bytes, held.max_bytes) or 0,
        max_file_bytes=least(limits.max_file_bytes, held.max_file_bytes) or 0,
        max_entries=least(limits.max_entries, held.max_entries) or 0,
        may_be_named=limits.name_objections,
        may_be_alike=limits.alike_objections,
        may_be_file=limits.extension_objections,
        may_write=lambda path: (
            *own_objections(path, own),
            *_objections(judges, WriteFile(path=path), path, allowed),
        ),
        may_delete=lambda path: (
            *own_objections(path, own),
            *_hidden_objections(judges, path),
            *_objections(judges, DeleteFile(path=path), path, allowed),
        ),
    )


def _hidden_objections(judges: Judges, path: JailPath) -> tuple[str, ...]:
    """Say no to the deletion of what nothing in the run could see, and so cannot have meant."""
    hidden = str(path) in judges.was_hidden
    return ("the policy hides it: it went with its directory",) if hidden else ()


def _objections(
    judges: Judges, action: WriteFile | DeleteFile, path: JailPath, allowed: tuple[Glob, ...]
) -> tuple[str, ...]:
    decision = evaluate(judges.policy, action)
    reasons = list(decision.reasons) if decision.effect is Effect.DENY else []
    verdict = check(judges.context.capabilities, action, judges.machine.now())
    if not verdict.allowed:
        reasons += verdict.reasons
    if not any(glob.matches(path) for glob in allowed):
        reasons.append(f"context.allowed_paths does not name {path}")
    return tuple(dict.fromkeys(reasons))
