"""Why, for people: which rule spoke, where it stands, and the smallest change that would allow it."""

import re

from cloche.model.action import Action, Connect, DeleteFile, Execute, ReadFile, WriteFile
from cloche.policy.decision import Decision, Effect
from cloche.policy.engine import describe
from cloche.policy.schema import Policy

_RULE = re.compile(r"[a-z_]+(\.[a-z_]+)*\[[0-9]+\]")

_SWITCH = re.compile(r"([a-z_]+(?:\.[a-z_]+)+): false refuses ")


def explain(policy: Policy, action: Action, decision: Decision) -> str:
    """Give the text of `cloche policy explain`."""
    verdict = "allowed" if decision.effect is Effect.ALLOW else "refused"
    lines = [f"{verdict}: {describe(action)}"]
    lines += [f"  {_with_line(policy, reason)}" for reason in decision.reasons]
    if decision.effect is Effect.DENY:
        lines.append(f"  to allow it: {remedy(action, decision)}")
    return "\n".join(lines)


def _with_line(policy: Policy, reason: str) -> str:
    match = _RULE.match(reason)
    line = policy.lines.get(match[0], 0) if match else 0
    return f"{policy.source}:{line}: {reason}" if line else reason


def remedy(action: Action, decision: Decision) -> str:
    """Give the smallest change to the policy that would allow `action`."""
    switched = [match[1] for r in decision.reasons if (match := _SWITCH.match(r)) is not None]
    if switched:
        return f"set {' and '.join(switched)} to true"
    denying = [match[0] for r in decision.reasons if (match := _RULE.match(r)) is not None]
    if denying:
        return f"remove {' and '.join(denying)}, if you mean every path or program it names"
    if any(reason.startswith("commit.unportable ") for reason in decision.reasons):
        return f"add {describe(action).partition(' ')[2]!r} to commit.unportable"
    if any(reason.startswith("commit.extensions.") for reason in decision.reasons):
        return "change commit.extensions"
    match action:
        case Execute(argv=argv):
            return f"add {argv[0].rpartition('/')[2]!r} to shell_execution.allow"
        case ReadFile(path=path):
            return f"add {str(path)!r} to file_access.read.allow"
        case WriteFile(path=path):
            return f"add {str(path)!r} to file_access.write.allow"
        case DeleteFile(path=path):
            return f"add {str(path)!r} to file_access.delete.allow"
        case Connect(host=host, port=port):
            return f"add {{host: {host}, ports: [{port}]}} to network.allow"
