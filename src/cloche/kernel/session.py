"""What one run holds while it lasts: the things every step of it shares."""

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from os.path import normpath
from pathlib import Path

from cloche.artifact.receipt import StepReceipt
from cloche.kernel.caches import Cache
from cloche.kernel.context import ExecutionContext, RunOptions
from cloche.kernel.queue import Queue
from cloche.kernel.registry import Registry
from cloche.kernel.trees import not_sources
from cloche.model.event import Denied, Event
from cloche.model.hosts import NetworkMode
from cloche.model.paths import JailPath, PathOutsideJail
from cloche.model.trial import Trial
from cloche.policy.schema import Policy
from cloche.runtimes.project import MANIFEST_BYTES, ToolTree
from cloche.runtimes.provider import HostFacts, RegistryFacts, RuntimeProvider
from cloche.runtimes.toolchain import Toolchain
from cloche.sandbox.features import Features
from cloche.sandbox.layout import HostSystem
from cloche.sandbox.platform import Platform
from cloche.workspace.jail import join
from cloche.workspace.merged import Entry
from cloche.workspace.subtree import Subtree

_GLOB = re.compile(r"[*?\[]")
_MOST_FILES = 200_000
_MOST_FILES_OF_TOOLS = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What does not change from run to run."""

    platform: Platform
    features: Features
    host: HostSystem
    toolchains: Mapping[str, Toolchain]
    caches: Mapping[str, Cache]
    environment: Mapping[str, str]
    key_home: Path
    """Directory of the key that signs what a run says of itself."""
    own_places: tuple[Path, ...]
    """What Cloche itself runs from and believes; see kernel.own."""
    now: Callable[[], float]
    queue: Queue
    """Where steps wait for their share of this machine."""
    trees: tuple[ToolTree, ...] = ()
    """What the tools of all runtimes make, of whichever a project is."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One run, or its share of it that one part has: mutable, owned by the task that runs it."""

    machine: Machine
    policy: Policy
    context: ExecutionContext
    options: RunOptions
    provider: RuntimeProvider
    transaction: Subtree
    """What it has of the run's transaction."""
    whole: Subtree
    """All of the run's transaction: where packages go."""
    emit: Callable[[Event], None]
    job: str
    """The name in the queue of who waits there; of a whole run the one in its first event."""
    part: str = ""
    """The name of the part, where there are several."""
    prefixes: tuple[str, ...] = ("",)
    """Where all parts of the run are."""
    registry: Registry | None = None
    remembered: RegistryFacts | None = None
    """What an earlier run learned of the registry, until this one does; see kernel.remembered."""
    package: Path | None = None
    made: str = ""
    """SHA-256 of the package that this run made, "" while it made none."""
    epoch: int = 315_532_800  # 1980-01-01, the earliest time every archive format can hold
    steps_run: int = 0
    denials: list[Denied] = field(default_factory=list)
    containment: dict[str, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)
    trials: dict[str, tuple[Trial, ...]] = field(default_factory=dict)
    receipts: list[StepReceipt] = field(default_factory=list)
    canary: Path | None = None
    was_hidden: set[str] = field(default_factory=set)
    """What of the project was shown to no sandbox of this run."""

    def facts(self) -> HostFacts:
        """Give what planners may know."""
        fetched = [cache.keys() for cache in self.machine.caches.values()]
        return HostFacts(
            toolchains=self.machine.toolchains,
            registry=self.registry_facts(),
            fetched=frozenset().union(*fetched),
            epoch=self.epoch,
            offline=self.context.network_policy is NetworkMode.NONE,
        )

    def registry_facts(self) -> RegistryFacts | None:
        """Give what is known of the registry."""
        return self.registry.facts if self.registry else self.remembered

    def get_canary(self) -> Path:
        """Give a file outside of every sandbox, made when first asked for; what it says is by chance."""
        if self.canary is None:
            self.canary = self.transaction.scratch("canary") / "canary"
            self.canary.write_text(secrets.token_hex(16))
        return self.canary

    def view(self) -> "TransactionView":
        """Give the project as it stands in this run's transaction."""
        passed = not_sources(self.machine.trees, self.transaction)
        return TransactionView(self.transaction, passed)

    def hidden(self) -> tuple[str, ...]:
        """Give what of the project no sandbox may see, and what a hidden name links to, as far as it is seen."""
        prefix, own = self.transaction.prefix, not_sources(self.machine.trees, self.transaction)
        others = not_sources(self.machine.trees, self.whole, self.prefixes) if prefix else own
        passed = tuple(name for name in own if not self.policy.looks_into(name.strip("/")))
        beside = tuple(name for name in others if not self.policy.looks_into(name.strip("/")))
        limit = _MOST_FILES if (passed, beside) == (own, others) else _MOST_FILES_OF_TOOLS
        # A list cut short would show the secrets it left out: beyond the limit nothing starts. What
        # other parts have made is not looked at, since their programs change it just now.
        seen = {
            **{
                str(entry.path): entry
                for entry in self.transaction.around(limit=limit, exclude=beside)
            },
            **{
                join(prefix, str(entry.path)): entry
                for entry in self.transaction.names(limit=limit, exclude=passed)
            },
        }
        names = tuple(name for name, entry in seen.items() if entry.kind in ("file", "link"))
        hidden = with_targets(self.policy.hidden(names), seen, self.context.project_root)
        self.was_hidden.update(hidden)
        return tuple(name.removeprefix(f"{prefix}/") for name in hidden if is_below(prefix, name))

    def hides(self, names: tuple[str, ...]) -> frozenset[str]:
        """Give those of `names`, of files in what is seen, that the policy hides."""
        prefix = self.transaction.prefix
        hidden = set(self.policy.hidden(tuple(join(prefix, name) for name in names)))
        return frozenset(name for name in names if join(prefix, name) in hidden)

    def labelled(self, step: str) -> str:
        """Give the id of a step as it is told outside of its part."""
        return f"{self.part}/{step}" if self.part else step

    def note(self, event: Event) -> None:
        """Emit `event` and remember it when it is a denial."""
        if isinstance(event, Denied):
            self.denials.append(event)
        self.emit(event)


def is_below(prefix: str, name: str) -> bool:
    """Tell whether the path `name` lies below the directory `prefix`, "" for the project. Pure."""
    return not prefix or name.startswith(f"{prefix}/")


def with_targets(
    hidden: tuple[str, ...], seen: Mapping[str, Entry], project: Path
) -> tuple[str, ...]:
    """Give `hidden` without its links, and with all that they lead to in `project`. Pure.

    A secret is often kept elsewhere in the project and linked to where tools
    look for it: hiding the link alone would hide nothing. Only what was `seen`
    without following a link is covered: the text of a link is a stranger's.
    """
    found: set[str] = set()
    waiting = list(hidden)
    while waiting:
        name = waiting.pop()
        if name in found or name not in seen:
            continue
        found.add(name)
        if seen[name].kind == "link":
            target = Path(normpath(project / Path(name).parent / seen[name].target))
            waiting += [str(target.relative_to(project))] if target.is_relative_to(project) else []
    return tuple(sorted(name for name in found if seen[name].kind != "link"))


class TransactionView:
    """A ProjectView over a transaction: base and changes as one, through no link."""

    def __init__(self, transaction: Subtree, passed: tuple[str, ...]) -> None:
        self._transaction, self._passed = transaction, passed
        self._names: tuple[str, ...] | None = None

    def names(self, pattern: str, *, limit: int = 1000) -> tuple[str, ...]:
        """Give names of regular files that match, sorted; tools' own trees are not looked into."""
        if not _GLOB.search(pattern):
            # Also in a tree that is not looked into: what a build was told to leave there.
            return (pattern,) if self._has(pattern) else ()
        if self._names is None:
            entries = self._transaction.names(exclude=self._passed)
            self._names = tuple(str(e.path) for e in entries if e.kind == "file")
        return tuple(sorted(n for n in self._names if fnmatchcase(n, pattern))[:limit])

    def _has(self, name: str) -> bool:
        try:
            path = JailPath.parse(name)
            os.close(self._transaction.open_file(path))
        except (PathOutsideJail, FileNotFoundError):
            return False
        return str(path) == name

    def read(self, name: str, *, limit: int = MANIFEST_BYTES) -> bytes | None:
        """Give a file's content, or None."""
        return self._transaction.read(JailPath.parse(name), limit=limit)
