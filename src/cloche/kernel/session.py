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
from cloche.model.event import Denied, Event
from cloche.model.paths import JailPath, PathOutsideJail
from cloche.model.trial import Trial
from cloche.policy.schema import Policy
from cloche.runtimes.project import MANIFEST_BYTES
from cloche.runtimes.provider import HostFacts, RegistryFacts, RuntimeProvider
from cloche.runtimes.toolchain import Toolchain
from cloche.sandbox.features import Features
from cloche.sandbox.layout import HostSystem
from cloche.sandbox.platform import Platform
from cloche.workspace.merged import Entry
from cloche.workspace.transaction import Transaction

# Trees that tools make: looking through them for manifests would be slow and mean nothing.
_NOT_SOURCES = ("node_modules", ".git")
# So is this one in the root, where a file in it shows that cargo made it: the name alone is also one
# of sources. The tag (https://bford.info/cachedir/) is only in one that was not there before.
_TARGET = "target"
_SIGNS = {
    "CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55",
    ".rustc_info.json": b'{"rustc_fingerprint":',
}
_LONGEST_SIGN = 1 << 16
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


@dataclass(slots=True, kw_only=True)
class Session:
    """One run: mutable, owned by the task that runs it."""

    machine: Machine
    policy: Policy
    context: ExecutionContext
    options: RunOptions
    provider: RuntimeProvider
    transaction: Transaction
    emit: Callable[[Event], None]
    job: str
    """The name of this run in its first event and in the queue."""
    registry: Registry | None = None
    remembered: RegistryFacts | None = None
    """What an earlier run learned of the registry, until this one does; see kernel.remembered."""
    package: Path | None = None
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
        return TransactionView(self.transaction)

    def hidden(self) -> tuple[str, ...]:
        """Give what of the project no sandbox may see, and what a hidden name links to."""
        trees = not_sources(self.transaction)
        passed = tuple(name for name in trees if not self.policy.looks_into(name.strip("/")))
        limit = _MOST_FILES if passed == trees else _MOST_FILES_OF_TOOLS
        # A list cut short would show the secrets it left out: beyond the limit nothing starts.
        entries = self.transaction.names(limit=limit, exclude=passed)
        seen = {str(entry.path): entry for entry in entries}
        names = tuple(name for name, entry in seen.items() if entry.kind in ("file", "link"))
        hidden = with_targets(self.policy.hidden(names), seen, self.context.project_root)
        self.was_hidden.update(hidden)
        return hidden

    def note(self, event: Event) -> None:
        """Emit `event` and remember it when it is a denial."""
        if isinstance(event, Denied):
            self.denials.append(event)
        self.emit(event)


def not_sources(transaction: Transaction) -> tuple[str, ...]:
    """Give what is not looked through in the project of `transaction`, as the user left it."""
    made = any(
        (transaction.read_base(f"{_TARGET}/{name}", limit=_LONGEST_SIGN) or b"").startswith(sign)
        for name, sign in _SIGNS.items()
    )
    return (*_NOT_SOURCES, f"/{_TARGET}") if made else _NOT_SOURCES


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

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._names: tuple[str, ...] | None = None

    def names(self, pattern: str, *, limit: int = 1000) -> tuple[str, ...]:
        """Give names of regular files that match, sorted; tools' own trees are not looked into."""
        if not _GLOB.search(pattern):
            # Also in a tree that is not looked into: what a build was told to leave there.
            return (pattern,) if self._has(pattern) else ()
        if self._names is None:
            entries = self._transaction.names(exclude=not_sources(self._transaction))
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
