"""Policy and capability over the whole diff: every change judged, every reason kept."""

from cloche.capability.check import check
from cloche.kernel.own import own_objections, own_places_in
from cloche.kernel.session import Session
from cloche.model.action import DeleteFile, WriteFile
from cloche.model.paths import JailPath
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate
from cloche.policy.globs import Glob
from cloche.workspace.screen import ScreenRules


def screen_rules(session: Session) -> ScreenRules:
    """Give the rules that a commit of this run must pass."""
    limits = session.policy.commit
    own = own_places_in(session.context.project_root, session.machine.own_places)
    return ScreenRules(
        max_bytes=limits.max_bytes,
        max_file_bytes=limits.max_file_bytes,
        max_entries=limits.max_entries,
        may_write=lambda path: (
            *own_objections(path, own),
            *_objections(session, WriteFile(path=path), path),
        ),
        may_delete=lambda path: (
            *own_objections(path, own),
            *_hidden_objections(session, path),
            *_objections(session, DeleteFile(path=path), path),
        ),
    )


def _hidden_objections(session: Session, path: JailPath) -> tuple[str, ...]:
    """Say no to the deletion of what nothing in the run could see, and so cannot have meant."""
    hidden = str(path) in session.was_hidden
    return ("the policy hides it: it went with its directory",) if hidden else ()


def _objections(
    session: Session, action: WriteFile | DeleteFile, path: JailPath
) -> tuple[str, ...]:
    decision = evaluate(session.policy, action)
    reasons = list(decision.reasons) if decision.effect is Effect.DENY else []
    verdict = check(session.context.capabilities, action, session.machine.now())
    if not verdict.allowed:
        reasons += verdict.reasons
    allowed = session.context.allowed_paths
    if not any(Glob(pattern).matches(path) for pattern in allowed):
        reasons.append(f"context.allowed_paths does not name {path}")
    return tuple(dict.fromkeys(reasons))
