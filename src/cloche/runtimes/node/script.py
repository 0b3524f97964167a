"""A line of package.json's scripts as a command, when it is a plain one. Never handed to a shell."""

import re
import shlex
from dataclasses import dataclass

_SHELL = re.compile(r"[;&|<>()$`\n\\{}*?~]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=[^=]*\Z")
_BUILDING = re.compile(r"(?:npm (?:run|run-script) )[A-Za-z0-9:_-]+\Z")
_PREFIXES = frozenset({"cross-env", "npx", "exec"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program's name and arguments."""

    program: str
    arguments: tuple[str, ...]


def read_script(line: str) -> Command | None:
    """Read a script; None when only a shell could run it.

    Variables set in front of the command are dropped: those that matter, the
    port and the mode, are set by whoever plans the step.
    """
    if len(line) > 2000 or _SHELL.search(line):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    while words and (words[0] in _PREFIXES or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    return Command(program=words[0], arguments=tuple(words[1:])) if words else None


def without_building(line: str) -> str:
    """Drop what a start script runs in front of the server itself: scripts of the project, by npm.

    A package holds what was built, and not the tools that build.
    """
    parts = [part.strip() for part in line.split("&&")]
    while len(parts) > 1 and _BUILDING.match(parts[0]):
        parts = parts[1:]
    return " && ".join(parts)


def without_options(arguments: tuple[str, ...], names: frozenset[str]) -> tuple[str, ...]:
    """Drop options that a planner sets itself, with the value that follows them."""
    kept: list[str] = []
    skip = False
    for word in arguments:
        if skip and not word.startswith("-"):
            skip = False
            continue
        skip = False
        if word.split("=")[0] in names:
            skip = "=" not in word
            continue
        kept.append(word)
    return tuple(kept)
