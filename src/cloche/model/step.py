"""What a provider returns: steps, and the plan they make together.

A step is a value. It says what to run and what that needs; it cannot run
anything. Paths inside a step are paths *inside the sandbox*; places on the
host are named by reference only (`Source` and `ref`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from cloche.model.ids import StepId

HEAP = "@heap"
"""In a variable: three quarters of the memory that the step was granted, in MiB."""
HEAP_BYTES = "@heap-bytes"
"""The same in bytes, in hexadecimal figures."""


class Trust(Enum):
    """Who wrote the code that a step executes."""

    TOOL = "tool"
    """Only toolchain code, over inputs that the kernel wrote or linted."""
    PROJECT = "project"
    """May execute code that the project or a dependency supplies."""


class Net(Enum):
    """What a step can reach. Every step has a network namespace of its own."""

    NONE = "none"
    """Own loopback, up. Every attempt to leave is refused and becomes an event."""
    INBOUND = "inbound"
    """As NONE, and the kernel may connect in, to one port (previews, validation)."""
    REGISTRY = "registry"
    """The registries the user's own tool configuration names. Only with Trust.TOOL."""
    HOSTS = "hosts"
    """Hosts that a person named on the command line or in a policy, never a provider."""


class Source(Enum):
    """Where the content of a mount comes from."""

    PROJECT = "project"
    """The project seen through the transaction: reads fall through, writes stay in its upper."""
    PROJECTION = "projection"
    """A directory the kernel wrote for this step; `ref` names the projection."""
    CACHE = "cache"
    """A shared cache; `ref` names it. Read-only lower, private upper."""
    SCRATCH = "scratch"
    """An empty directory on disk, private to the step."""
    BUILD = "build"
    """What tools keep of this project between builds, outside of it; `ref` names it, and the part
    after its first hyphen what it is good for: with another, all of it is new. Only with Trust.PROJECT."""
    PACKAGE = "package"
    """The package just made, extracted again and read-only; for validation."""
    USER_CONFIG = "user-config"
    """The user's own configuration of this tool, read-only. Only with Trust.TOOL."""


class Access(Enum):
    """What a step may do with a mount."""

    READ = "read"
    WRITE = "write"
    """Writes reach the source itself (projections, scratch and builds only)."""
    PRIVATE = "private"
    """Writes go to a layer above the source; see Output for what becomes of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A part of the sandbox's file tree."""

    target: str
    source: Source
    ref: str = ""
    access: Access = Access.READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Files the kernel writes into an empty directory for a TOOL step.

    Never a copy of a directory: a provider gives the very bytes, which it made
    from manifests it parsed and linted. That is what keeps a project's
    configuration files, which can execute code, out of a step with a network.
    """

    ref: str
    files: Mapping[str, bytes]
    """Relative path (JailPath text) to content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Something a step leaves behind that outlives its sandbox."""

    path: str
    """Absolute, inside a writable mount of the step."""
    commit_to: str = ""
    """Project-relative destination; "" when it does not go to the project."""
    promote: str = ""
    """Cache that new content is added to after verification; only with Trust.TOOL."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """What a lock says of files of that cache, in the provider's words, which `cached` is handed back."""
    checked_key: str = ""
    """A digest, recorded in that cache when all of `digests` held: what was there already is hashed again."""
    required: bool = True
    linter: str = ""
    """Name of the provider's `lint` that the bytes must pass before they are taken."""
    executable: bool = False
    """A file is taken with mode 0755 in place of 0644."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How to tell that a service is up: something listens, then something answers."""

    port: int
    path: str = "/"
    ready_seconds: float = 60.0
    statuses: tuple[int, ...] = ()
    """Accepted HTTP statuses; empty means any below 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command in one sandbox."""

    id: StepId
    title: str
    argv: tuple[str, ...]
    """argv[0] is a toolchain reference such as "@node/bin/node"; in a PROJECT step it may be a path
    in one of its mounts, and in one typed by a person anything."""
    trust: Trust
    net: Net = Net.NONE
    cwd: str = "/project"
    env: Mapping[str, str] = field(default_factory=dict)
    """A value that begins with "@name" is the place of that toolchain; HEAP and HEAP_BYTES in it become numbers."""
    registry: str = ""
    """Logical registry ("npm") for Net.REGISTRY; its hosts come from the user's configuration."""
    mounts: tuple[Mount, ...] = ()
    outputs: tuple[Output, ...] = ()
    limits: str = "build"
    """A name in LIMIT_CLASSES."""
    optional: bool = False
    """When it fails the run goes on, with a warning."""
    fallback: StepId | None = None
    """A step of the same plan that runs only if this one fails, and then stands for it."""
    fallback_codes: frozenset[str] = frozenset()
    """Codes of diagnostics of which one must have been found for `fallback` to be tried; empty: always."""
    parser: str = ""
    """Which of the provider's parsers reads the output: progress and diagnostics."""
    expected: int = 0
    """How many units of progress the parser will count; 0 when unknown."""
    probe: Probe | None = None
    """Makes the step a service: it runs until stopped, and is ready when the probe says so."""
    skip_key: str = ""
    """A digest; a step whose key is recorded in the cache it promotes to is skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSpec:
    """What a package is made of, and how to see that it lives."""

    name: str
    version: str
    include: tuple[str, ...]
    """Project-relative files and directories, each taken whole; missing ones are an error."""
    exclude: tuple[str, ...] = ()
    components: tuple["Component", ...] = ()
    serve: Step | None = None
    """A service step over Source.PACKAGE that `validate` starts; None for a library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One dependency, as the lock states it; a line of the bill of materials."""

    name: str
    version: str
    purl: str
    sha512: str = ""
    """Hexadecimal; empty when the lock gives none."""
    sha256: str = ""
    """As `sha512`: locks give the one or the other."""
    licence: str = ""
    development: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of one verb, in order, with what they refer to."""

    verb: str
    steps: tuple[Step, ...]
    projections: tuple[Projection, ...] = ()
    artifact: ArtifactSpec | None = None
    notes: tuple[str, ...] = ()
    """Shown to the user: what was assumed, what is unusual."""
    again: bool = False
    """Plan this verb once more when these steps are done: what they made decides what comes next."""
