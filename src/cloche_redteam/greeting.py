"""Calling on what listens on the host, and knowing its answer."""

import os
import socket
import struct

from cloche_redteam.attack import Unable

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

    Address = tuple[str, int] | str

_PATIENCE = 2.0
_IMPOSSIBLE = 0xF  # above SOCK_MAX: EINVAL before a module is asked for (net/socket.c)


def wanted(bait: "Bait", word: str, what: str) -> str:
    """Give a word of the bait. Raises Unable where the host has nothing of the kind."""
    value = bait.get(word, "")
    if not value:
        raise Unable(f"the host has {what}")
    return value


def greeted(made: socket.socket, address: "Address", bait: "Bait") -> "str | None":
    """Connect, and give evidence when the bait's own listener answers: anything may accept."""
    with made:
        made.settimeout(_PATIENCE)
        made.connect(address)
        return known(made.recv(64), bait)


def known(said: bytes, bait: "Bait") -> "str | None":
    """Give evidence when what was said is the bait's secret."""
    return "the host's listener answered" if bait["secret_text"].encode() in said else None


def made_socket(family: int, kind: int, protocol: int, name: str) -> str:
    """Make a socket where the kernel has `name` loaded; otherwise see whether it may be asked for.

    A socket() of a family that is not there loads its module, which stays: so it
    is asked with a kind that no family has. A filter answers first, with EPERM;
    EINVAL is the kernel's own answer, and the next call would load the module.
    """
    if name in loaded():
        socket.socket(family, kind, protocol).close()
        return "made one"
    return would_load(family, protocol)


def would_load(family: int, protocol: int) -> str:
    """Give evidence when the kernel itself, and no filter, judges the family."""
    try:
        socket.socket(family, _IMPOSSIBLE, protocol).close()
    except OSError as error:
        if error.errno != 22:  # EINVAL
            raise
    return "no filter stands before it: its module would be loaded, where the machine has it"


def loaded() -> "set[str]":
    """Give the names of the protocols that the kernel has registered."""
    with open("/proc/net/protocols", encoding="ascii") as file:
        return {line.split()[0] for line in file}


def credentials(process: int) -> bytes:
    """Give a struct ucred that claims to be another process of the same user."""
    return struct.pack("3i", process, os.getuid(), os.getgid())
