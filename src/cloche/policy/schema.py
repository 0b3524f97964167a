"""From a document to a policy: unknown keys and wrong types are errors, all told at once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from cloche.model.hosts import HostRule
from cloche.model.limits import DEFAULT_SANDBOXES, LIMIT_CLASSES, Limits
from cloche.model.names import taken_for
from cloche.model.paths import JailPath
from cloche.model.tier import Tier
from cloche.policy.commit import CommitLimits
from cloche.policy.document import Node
from cloche.policy.errors import PolicyInvalid
from cloche.policy.globs import Glob, GlobSet
from cloche.policy.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """Globs for one kind of access: a path is allowed when some allow and no deny matches.

    A path that `exempt` matches is not meant by `deny`.
    """

    allow: tuple[Glob, ...]
    deny: tuple[Glob, ...]
    exempt: tuple[Glob, ...] = ()
    _deny: GlobSet = field(init=False, repr=False, compare=False)
    _deny_elsewhere: GlobSet = field(init=False, repr=False, compare=False)
    _is_folded: bool = field(init=False, repr=False, compare=False)
    """Whether the patterns read the same where case does not count."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_deny", GlobSet(self.deny))
        folded = GlobSet(tuple(glob.folded for glob in self.deny))
        object.__setattr__(self, "_deny_elsewhere", folded)
        is_folded = all(glob.folded == glob for glob in (*self.deny, *self.exempt))
        object.__setattr__(self, "_is_folded", is_folded)

    def denying(self, path: JailPath) -> tuple[tuple[int, Glob], ...]:
        """Give the denials that mean `path`, each with its place in the list."""
        found = self._deny.matching(path)
        return () if found and any(glob.matches(path) for glob in self.exempt) else found

    def denying_elsewhere(self, path: JailPath) -> tuple[tuple[int, Glob], ...]:
        """Give the denials that mean what another system would take `path` for: CVE-2014-9390."""
        parts = taken_for(path.parts)
        if not parts:
            return ()  # nothing but separators of another system, such as a file named "\\"
        if parts == path.parts and self._is_folded:
            return self.denying(path)
        there = JailPath(parts)
        found = self._deny_elsewhere.matching(there)
        if found and any(glob.folded.matches(there) for glob in self.exempt):
            return ()
        return tuple((number, self.deny[number]) for number, _ in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteRules:
    """Programs, by the last part of argv[0] or a toolchain reference, as globs."""

    allow: tuple[str, ...]
    deny: tuple[str, ...]
    project_code: bool
    """Whether code that the project supplies may run at all (in the jar, without network)."""
    typed_commands: bool
    """Whether `cloche run` may run what a person typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRules:
    """What all sandboxes of a user on one machine may hold at once."""

    memory_bytes: int | None = None
    """The sum of their ceilings; None leaves it to the share that `kernel.budget` names."""
    sandboxes: int = DEFAULT_SANDBOXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy. Silence in it is denial."""

    source: str
    execute: ExecuteRules
    read: FileRules
    write: FileRules
    delete: FileRules
    hosts: tuple[HostRule, ...]
    allows_registries: bool
    allows_typed_hosts: bool
    """Whether `cloche run --network` may name hosts that no rule allows."""
    limits: Mapping[str, Limits]
    commit: CommitLimits
    required: tuple[str, ...]
    weakest: Tier
    """The weakest way of containing that a run may have."""
    budget: BudgetRules = BudgetRules()
    lines: Mapping[str, int] = field(default_factory=dict)
    """Rule name, such as `file_access.write.deny[2]`, to its line."""
    digest: str = ""

    def limits_for(self, name: str) -> Limits:
        """Give the ceiling of a class of steps."""
        return self.limits[name]

    def host_rules(self) -> tuple[HostRule, ...]:
        """Give the hosts that the policy allows beside the registries."""
        return self.hosts

    def looks_into(self, directory: str) -> bool:
        """Tell whether a rule for reading speaks of files below directories of this name.

        A file's name alone, as in `**/*.pem`, does not: it is meant for what
        people keep, and looking for it through what tools made costs seconds.
        """
        if all(glob.text != "**" for glob in self.read.allow):
            return True
        return any(
            "**" in parts[1:]
            or directory == parts[-1]
            or any(part != "**" and fnmatchcase(directory, part) for part in parts[:-1])
            for parts in (glob.text.split("/") for glob in self.read.deny)
        )

    def hidden(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Give those of the project's `names` that no sandbox may see."""
        return tuple(
            name
            for name in names
            if not any(g.matches(JailPath.parse(name)) for g in self.read.allow)
            or self.read.denying(JailPath.parse(name))
        )


def read_policy(document: Node) -> Policy:
    """Read a policy. Raises PolicyInvalid with every mistake, each with its place."""
    reader = Reader(document.place.file)
    top = reader.mapping(
        document,
        "policy",
        required=(
            "version",
            "shell_execution",
            "file_access",
            "network",
            "limits",
            "commit",
            "sandbox",
        ),
        optional=("budget",),
    )
    reader.constant(top.get("version"), "version", 1)
    files = reader.mapping(
        top.get("file_access"), "file_access", required=("read", "write", "delete")
    )
    network = reader.mapping(
        top.get("network"), "network", required=("registries", "typed_hosts", "allow")
    )
    sandbox = reader.mapping(
        top.get("sandbox"), "sandbox", required=("require",), optional=("tier",)
    )
    policy = Policy(
        source=document.place.file,
        execute=_execute(reader, top.get("shell_execution")),
        read=_files(reader, files, "read"),
        write=_files(reader, files, "write"),
        delete=_files(reader, files, "delete"),
        allows_registries=reader.truth(network.get("registries"), "network.registries"),
        allows_typed_hosts=reader.truth(network.get("typed_hosts"), "network.typed_hosts"),
        hosts=reader.hosts(network.get("allow"), "network.allow"),
        limits=_limits(reader, top.get("limits")),
        commit=_commit(reader, top.get("commit")),
        required=reader.features(sandbox.get("require"), "sandbox.require"),
        weakest=reader.tier(sandbox.get("tier"), "sandbox.tier"),
        budget=_budget(reader, top.get("budget")),
        lines=dict(reader.lines),
        digest=_digest(document),
    )
    if reader.mistakes:
        raise PolicyInvalid(tuple(reader.mistakes))
    return policy


def _execute(reader: Reader, node: Node | None) -> ExecuteRules:
    fields = reader.mapping(
        node, "shell_execution", required=("allow", "deny", "project_code", "typed_commands")
    )
    return ExecuteRules(
        allow=reader.texts(fields.get("allow"), "shell_execution.allow"),
        deny=reader.texts(fields.get("deny"), "shell_execution.deny"),
        project_code=reader.truth(fields.get("project_code"), "shell_execution.project_code"),
        typed_commands=reader.truth(fields.get("typed_commands"), "shell_execution.typed_commands"),
    )


def _files(reader: Reader, nodes: Mapping[str, Node], name: str) -> FileRules:
    where = f"file_access.{name}"
    lists = reader.mapping(nodes.get(name), where, required=("allow", "deny"), optional=("exempt",))
    return FileRules(
        allow=reader.globs(lists.get("allow"), f"{where}.allow"),
        deny=reader.globs(lists.get("deny"), f"{where}.deny"),
        exempt=reader.globs(lists.get("exempt"), f"{where}.exempt"),
    )


def _limits(reader: Reader, node: Node | None) -> dict[str, Limits]:
    fields = reader.mapping(node, "limits", optional=tuple(LIMIT_CLASSES))
    return {
        name: reader.limits(fields.get(name), f"limits.{name}", built_in)
        for name, built_in in LIMIT_CLASSES.items()
    }


def _commit(reader: Reader, node: Node | None) -> CommitLimits:
    names = ("max_bytes", "max_file_bytes", "max_entries")
    fields = reader.mapping(node, "commit", required=names, optional=("extensions", "unportable"))
    lists = reader.mapping(
        fields.get("extensions"), "commit.extensions", optional=("allow", "deny")
    )
    allow = lists.get("allow")
    return CommitLimits(
        **{name: reader.size(fields.get(name), f"commit.{name}") for name in names},
        allow_extensions=None
        if allow is None
        else reader.extensions(allow, "commit.extensions.allow"),
        deny_extensions=reader.extensions(lists.get("deny"), "commit.extensions.deny"),
        unportable=reader.globs(fields.get("unportable"), "commit.unportable"),
    )


def _budget(reader: Reader, node: Node | None) -> BudgetRules:
    fields = reader.mapping(node, "budget", optional=("memory", "sandboxes"))
    memory, sandboxes = fields.get("memory"), fields.get("sandboxes")
    return BudgetRules(
        memory_bytes=None if memory is None else reader.size(memory, "budget.memory"),
        sandboxes=DEFAULT_SANDBOXES
        if sandboxes is None
        else reader.size(sandboxes, "budget.sandboxes"),
    )


def _digest(document: Node) -> str:
    return hashlib.sha256(_canonical(document).encode()).hexdigest()


def _canonical(node: Node) -> str:
    if isinstance(node.value, Mapping):
        pairs = (f"{key!r}:{_canonical(value)}" for key, value in sorted(node.value.items()))
        return "{" + ",".join(pairs) + "}"
    if isinstance(node.value, tuple):
        return "[" + ",".join(_canonical(item) for item in node.value) + "]"
    return repr(node.value)
