"""Toolchains as values: where a tool is, what it is, and where it stands inside."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainNeed:
    """What a provider requires, for the kernel to find."""

    name: str
    """Reference used in argv as "@name/..."."""
    minimum: tuple[int, ...]
    extra: str
    """The extra of this package that brings one, for the remedy; "" when none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """One tool found on the host, read-only inside at `inside`."""

    name: str
    host_root: str
    """Directory on the host that holds it whole."""
    inside: str
    """Where that directory stands in the sandbox; equal to `host_root` when it lies under /usr."""
    version: str
    digest: str
    """SHA-256 of the program itself: part of every key of a step that uses it."""
