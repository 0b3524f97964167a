"""A sandbox plan for a program that keeps the host's file tree: inside paths become the host's. Pure.

Where no namespace can be had there is no root of its own to build. What a plan
would mount is then a rule of Landlock, and what it would mount elsewhere is
named by where it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cloche.model.limits import Limits
from cloche.sandbox.mounts import (
    BindReadOnly,
    BindWritable,
    Masked,
    SymbolicLink,
    Tmpfs,
)
from cloche.sandbox.plan import SandboxPlan

_PROXY = "127.0.0.1:3128"
"""Where the proxy of a sandbox's own network is; here it is on the host's, at a port that was free."""
# What a root of our own would not have, and a program takes no refusal of: OpenSSL reads its settings
# if they are there, and ends when it may not.
_ASKED_FOR = ("/etc/ssl/openssl.cnf", "/etc/nsswitch.conf", "/etc/host.conf")
_COMMANDS = "/toolchain/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlacePlan:
    """One program, in the host's own paths."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    readable: tuple[str, ...]
    """Files and trees it may read and execute."""
    masked: tuple[str, ...]
    """What of `readable` it may not."""
    writable: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    """(path, what it says) of the symbolic links that must be made first."""
    limits: Limits
    proxy_port: int
    """The one TCP port it may connect to; 0: it can make no socket at all."""


def private_places(plan: SandboxPlan) -> tuple[str, ...]:
    """Give the inside paths for which empty private directories must be made."""
    made = [operation.target for operation in plan.mounts if isinstance(operation, Tmpfs)]
    if any(isinstance(op, SymbolicLink) and _is_command(op) for op in plan.mounts):
        made.append(_COMMANDS)
    return tuple(made)


def in_place(plan: SandboxPlan, made: Mapping[str, str], proxy_port: int) -> InPlacePlan:
    """Write `plan` in the host's paths. `made` has the directory of each of `private_places`.

    A mask of a file in the project is not here: the copy of the project that
    stands for its overlay was made without it.
    """
    places = dict(made)
    readable: list[str] = []
    masked: list[str] = []
    for operation in plan.mounts:
        match operation:
            case BindReadOnly(source=source, target=target):
                readable.append(source)
                places[target] = source
            case BindWritable(source=source, target=target):
                places[target] = source
            case Masked(target=target):
                masked.append(target)
            case _:
                pass
    words = _Words(places, proxy_port)
    links = [
        (words.written(op.target), words.written(op.to))
        for op in plan.mounts
        if isinstance(op, SymbolicLink) and _is_command(op)
    ]
    # Into our own empty directories alone: in a copy of a project the way may lead through its links.
    links += [
        (f"{made[above]}{target[len(above) :]}", place)
        for target, place in places.items()
        if (above := _above(target, made))
    ]
    ours = [op.source for op in plan.mounts if isinstance(op, BindWritable)]
    return InPlacePlan(
        argv=tuple(words.written(word) for word in plan.argv),
        env={name: words.written(value) for name, value in plan.env.items()},
        cwd=words.written(plan.cwd),
        readable=tuple(dict.fromkeys([*readable, *_ASKED_FOR])),
        masked=tuple(m for m in masked if not _above(m, dict.fromkeys(_copies(plan), ""))),
        writable=tuple(dict.fromkeys([*made.values(), *ours])),
        links=tuple(links),
        limits=plan.limits,
        proxy_port=proxy_port,
    )


def _is_command(link: SymbolicLink) -> bool:
    return link.target.startswith(f"{_COMMANDS}/")


def _copies(plan: SandboxPlan) -> tuple[str, ...]:
    return tuple(op.target for op in plan.mounts if isinstance(op, BindWritable))


def _above(target: str, places: Mapping[str, str]) -> str:
    """Give the nearest of `places` that `target` lies in, "" for none."""
    parent = target.rpartition("/")[0]
    while parent:
        if parent in places:
            return parent
        parent = parent.rpartition("/")[0]
    return ""


class _Words:
    """Replaces inside paths in arguments and variables, wherever a path can begin."""

    def __init__(self, places: Mapping[str, str], proxy_port: int) -> None:
        self._places = {target: place for target, place in places.items() if target != place}
        longest_first = sorted(self._places, key=len, reverse=True)
        either = "|".join(re.escape(target) for target in longest_first)
        # Not in the middle of another path, and not a longer name that begins the same.
        self._pattern = re.compile(rf"(?<![\w./@-])(?:{either})(?![\w.@-])") if either else None
        self._proxy = f"127.0.0.1:{proxy_port}"

    def written(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda match: self._places[match[0]], text)
        return text.replace(_PROXY, self._proxy)
