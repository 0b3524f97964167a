"""Toolchains as values: where a tool is, what it is, and where it stands inside."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRule:
    """Where a tool's version stands: it is read, and the tool is never run for it."""

    file: str
    """A glob below the tool's root; of several files the highest version counts."""
    pattern: str
    """A regular expression; its groups, joined by dots, are the version."""
    in_name: bool = False
    """Matched against the path below the root instead of the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolHome:
    """A directory in which a tool's own installer puts its versions."""

    below_home: str
    variable: str = ""
    """Environment variable that names another directory instead."""
    roots: str = ""
    """A glob below it, of the roots of single versions; "" when it is a root itself."""
    chosen_in: str = ""
    """A file below it that names the root which the user made the usual one."""
    chosen: str = ""
    """A regular expression over that file; its one group is the root's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainNeed:
    """What a provider requires, and how the kernel knows it when it sees it."""

    name: str
    """Reference used in argv as "@name/..."."""
    minimum: tuple[int, ...]
    program: str
    """The program of that name, below the tool's root."""
    versions: tuple[VersionRule, ...]
    """Tried in order."""
    command: str = ""
    """Its name in PATH, where that is not the reference's."""
    parts: tuple[str, ...] = ()
    """Globs that must all be met below the root: what a script or a proxy in the tool's place has not."""
    is_script: bool = False
    """The program is no ELF file."""
    measured: tuple[str, ...] = ()
    """Globs of the files that the digest is of; the program alone when left out."""
    homes: tuple[ToolHome, ...] = ()
    """Looked through after PATH."""
    extra: str = ""
    """The extra of this package that brings one, for the remedy; "" when none does."""
    embedded: tuple[str, str] = ("", "")
    """The module that the extra installs, and the tool's root below it."""
    advice: str = ""
    """How to get one, where no extra brings it."""
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
    """SHA-256 of the program, or of the digests of what is measured: part of every key of a step that uses it."""
    commands: tuple[tuple[str, str], ...] = ()
    """See ToolchainNeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConfig:
    """Which parts of the user's own configuration a tool reads: shown to fetch steps alone."""

    home_files: tuple[str, ...]
    """Names below the user's home directory."""
    file_variable: str = ""
    """Environment variable that names a file to read instead of the first of `home_files`."""
    directory_variable: str = ""
    """Environment variable that names another directory than the first one of each of `home_files`."""
    is_whole: bool = False
    """Nothing but these files and variables decides what the tool says of its registries."""
    variable_prefixes: tuple[str, ...] = ()
    """Environment variables, by prefix in any case, that are handed on."""
    certificate_variables: tuple[str, ...] = ()
    """Environment variables that name certificate files; the first is one that every build follows."""
    certificate_settings: tuple[str, ...] = ()
    """Keys of RegistryFacts.settings that name a certificate file."""
    place_settings: tuple[str, ...] = ()
    """Keys of RegistryFacts.settings that name other places of the user's, one a line: local registries."""
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
    also: str = ""
    """Another name that the same file gets, where nothing has it yet."""
    fault: Callable[[BinaryIO], str] | None = None
    """Says of the file why it may not be kept; "" when it may."""
