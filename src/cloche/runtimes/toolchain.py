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
    commands: tuple[tuple[str, str], ...] = ()
    """(name in PATH, file below the tool), for a tool that has no directory of programs."""


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
    commands: tuple[tuple[str, str], ...] = ()
    """See ToolchainNeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConfig:
    """Which parts of the user's own configuration a tool reads: shown to fetch steps alone."""

    home_files: tuple[str, ...]
    """Names below the user's home directory."""
    file_variable: str = ""
    """Environment variable that names a file to read instead of the first of `home_files`."""
    variable_prefixes: tuple[str, ...] = ()
    """Environment variables, by prefix in any case, that are handed on."""
    certificate_variables: tuple[str, ...] = ()
    """Environment variables that name certificate files; the first is one that every build follows."""
    certificate_settings: tuple[str, ...] = ()
    """Keys of RegistryFacts.settings that name a certificate file."""
    proxy_settings: tuple[str, ...] = ()
    """Keys, in RegistryFacts.settings and in the files, that name an HTTP proxy; the first counts most."""
    mention: str = ""
    """Regular expression of a variable's mention in those files; its one group is the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """What a provider says of one file that a fetch step added to a shared cache."""

    algorithm: str = ""
    """hashlib name, or "" where the content has no digest in its name (an index)."""
    digest: str = ""
    """Hexadecimal."""
