"""May it? One pure function: deny wins, silence denies, every reason is kept."""

from fnmatch import fnmatchcase

from cloche.model.action import TYPED, Action, Connect, DeleteFile, Execute, ReadFile, WriteFile
from cloche.model.paths import JailPath
from cloche.model.step import Trust
from cloche.policy.decision import Decision, Effect
from cloche.policy.schema import ExecuteRules, FileRules, Policy


def evaluate(policy: Policy, action: Action) -> Decision:
    """Decide `action`. The same policy and action give the same decision.

    One denial outweighs any number of permissions; when nothing speaks, the
    answer is denial and says so.
    """
    match action:
        case Execute():
            allows, denials = _execute(policy.execute, action)
        case ReadFile(path=path):
            allows, denials = _file(policy.read, "file_access.read", path)
        case WriteFile(path=path):
            allows, denials = _file(policy.write, "file_access.write", path, elsewhere=True)
        case DeleteFile(path=path):
            allows, denials = _file(policy.delete, "file_access.delete", path, elsewhere=True)
        case Connect():
            allows, denials = _connect(policy, action)
    if denials:
        return Decision(Effect.DENY, denials)
    if not allows:
        return Decision(Effect.DENY, (f"no rule allows: {describe(action)}",))
    return Decision(Effect.ALLOW, allows)


Spoken = tuple[tuple[str, ...], tuple[str, ...]]


def _execute(rules: ExecuteRules, action: Execute) -> Spoken:
    names = (action.argv[0], action.argv[0].rpartition("/")[2])
    denials = [
        f"shell_execution.deny[{number}] ({pattern}) refuses {action.argv[0]}"
        for number, pattern in enumerate(rules.deny)
        if any(fnmatchcase(name, pattern) for name in names)
    ]
    if action.typed_by_person and not rules.typed_commands:
        denials.append("shell_execution.typed_commands: false refuses commands typed by a person")
    if action.trust is Trust.PROJECT and not rules.project_code:
        denials.append("shell_execution.project_code: false refuses code of the project")
    allows = [
        f"shell_execution.allow[{number}] ({pattern}) allows {action.argv[0]}"
        for number, pattern in enumerate(rules.allow)
        if any(fnmatchcase(name, pattern) for name in names)
    ]
    return tuple(allows), tuple(denials)


def foresee(policy: Policy, action: Action) -> Decision:
    """Decide as `evaluate` does, and of a write also what a commit asks of a new file of that name."""
    decision = evaluate(policy, action)
    if not isinstance(action, WriteFile):
        return decision
    limits, path = policy.commit, action.path
    against = (*limits.name_objections(path), *limits.extension_objections(path))
    if not against:
        return decision
    denied = decision.reasons if decision.effect is Effect.DENY else ()
    return Decision(Effect.DENY, (*denied, *against))


def _file(rules: FileRules, where: str, path: JailPath, *, elsewhere: bool = False) -> Spoken:
    allows = tuple(
        f"{where}.allow[{number}] ({glob.text}) allows {path}"
        for number, glob in enumerate(rules.allow)
        if glob.matches(path)
    )
    denials = tuple(
        f"{where}.deny[{number}] ({glob.text}) refuses {path}"
        for number, glob in rules.denying(path)
    )
    if elsewhere and not denials:
        denials = tuple(
            f"{where}.deny[{number}] ({glob.text}) refuses what other systems take {path} for"
            for number, glob in rules.denying_elsewhere(path)
        )
    return allows, denials


def _connect(policy: Policy, action: Connect) -> Spoken:
    allows = []
    if action.origin.startswith("registry:"):
        if not policy.allows_registries:
            return (), ("network.registries: false refuses the registries of the user's tools",)
        allows.append(f"network.registries allows {action.host}, of the user's own configuration")
    if action.origin == TYPED and policy.allows_typed_hosts:
        allows.append(f"network.typed_hosts allows {action.host}, named by a person")
    allows += [
        f"{rule.origin} ({rule.pattern.text}) allows {action.host}:{action.port}"
        for rule in policy.hosts
        # A pattern asked for is matched as a name, its star as a label: only as wide a rule covers it.
        if rule.pattern.matches(action.host) and action.port in rule.ports
    ]
    return tuple(allows), ()


def describe(action: Action) -> str:
    """Say what an action is, for people."""
    match action:
        case Execute(argv=argv):
            return f"run {' '.join(argv)}"
        case ReadFile(path=path):
            return f"read {path}"
        case WriteFile(path=path):
            return f"write {path}"
        case DeleteFile(path=path):
            return f"delete {path}"
        case Connect(host=host, port=port):
            return f"connect to {host}:{port}"
