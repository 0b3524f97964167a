"""The contract between the kernel, which decides, and a platform, which does."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cloche.model.tier import Tier
from cloche.sandbox.features import Features
from cloche.sandbox.layout import HostSystem
from cloche.sandbox.plan import SandboxPlan
from cloche.sandbox.report import EnforcementReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a sandbox ended.

    `status` is the program's exit status, or 128 + signal as a shell gives it.
    `limit` names the field of Limits that was breached ("" when none was):
    the kernel's own counters say so, never the exit status.
    """

    status: int
    limit: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a sandbox has consumed so far; None where the machine cannot tell."""

    wall_seconds: float
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    processes: int | None = None
    processes_peak: int | None = None


class SandboxedProcess(Protocol):
    """A running sandbox. Close it, always: that kills what is left in it."""

    @property
    def report(self) -> EnforcementReport:
        """What stands around the program, as the launcher and the host found it."""
        ...

    @property
    def sockets(self) -> Mapping[str, socket.socket]:
        """Sockets that live in the sandbox's network namespace, by name; see egress."""
        ...

    @property
    def host_pid(self) -> int:
        """The pid of the sandbox's init as the host sees it."""
        ...

    @property
    def own_place(self) -> int | None:
        """A directory of the host's disk that it fills beside its mounts, open; None for nothing."""
        ...

    async def read_output(self) -> tuple[str, bytes] | None:
        """Give the next ("stdout" | "stderr", bytes) in order of arrival, or None at the end.

        At most Limits.output_bytes are given; the rest is drained and dropped,
        so that a chatty program is not blocked.
        """
        ...

    async def write_input(self, data: bytes) -> None:
        """Feed standard input; b"" closes it."""
        ...

    async def put_file(self, path: str, content: bytes | None) -> None:
        """Write (or, with None, remove) a project file through the running sandbox's own view."""
        ...

    async def inner_sockets(self, family: int, count: int) -> tuple[socket.socket, ...]:
        """Give unconnected sockets that live in the sandbox's network namespace; only for inbound plans."""
        ...

    async def wait_exited(self) -> Exit:
        """Wait until the program has ended and its whole tree is gone."""
        ...

    async def terminate(self, grace_seconds: float) -> None:
        """Ask the program to end (SIGTERM), then kill the tree."""
        ...

    def kill(self) -> None:
        """Kill the tree at once, without asking."""
        ...

    def usage(self) -> Usage:
        """Read the counters now."""
        ...

    async def close(self) -> None:
        """Kill what is left and wait for it: nothing of the program runs when this returns.

        What the kernel then has still to tear down, empty namespaces and
        groups, is gone at the latest when the platform is closed.
        """
        ...


class Platform(Protocol):
    """One operating system's way of confining."""

    name: str

    def host(self) -> HostSystem:
        """Say how the host's root is laid out, for the planner."""
        ...

    def memory_bytes(self) -> int:
        """Say how much memory there is for all that is started here: the machine's, or a container's share."""
        ...

    async def probe(self, home: Path, tier: Tier) -> Features:
        """Find by doing what this machine can enforce in `tier` for transactions kept below `home`.

        Cached for the life of the platform, once for each file system and tier.
        """
        ...

    async def spawn(self, plan: SandboxPlan) -> SandboxedProcess:
        """Put up the barriers, then start the program.

        Raises CannotConfine when a REQUIRED feature does not stand, and
        SpawnFailed when the program cannot be started.
        """
        ...

    def collect(self, state: int) -> None:
        """Start a process that deletes what lies discarded in an open state directory. Raises OSError.

        Nobody waits for it: it goes on when this program has ended, at the lowest priority.
        """
        ...

    async def close(self) -> None:
        """End the launcher and everything it started; a collector goes on."""
        ...
