"""Attacks on what the host's own files give away, and on what is known of them beside their content."""

import fcntl
import os
import select
import struct

from cloche_redteam import libc
from cloche_redteam.attack import Unable, attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_OPENED = 0x20  # IN_OPEN, linux/inotify.h
_EVENT = struct.Struct("iIII")
_SECONDS = 1.0  # the host opens the file many times in as long


@attack("files", "inotify(7): an inode is watched whoever has it open, and in whatever namespace")
def watch_what_others_open(bait: "Bait") -> "str | None":
    """Watch a program of the system and see that others open it."""
    if not bait["used_file"]:
        raise Unable("the host has no program that could be opened by others")
    queue = libc.syscall(libc.number(294, 26), os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        name = os.fsencode(bait["used_file"]) + b"\0"
        libc.syscall(libc.number(254, 27), queue, name, _OPENED)
        if not select.select([queue], [], [], _SECONDS)[0]:
            return None
        return f"saw {len(os.read(queue, 4096)) // _EVENT.size} openings of {bait['used_file']}"
    finally:
        os.close(queue)


@attack("files", "flock(2): a lock belongs to the inode, and holds up all who ask for one")
def hold_up_who_locks_a_file_of_the_system(bait: "Bait") -> "str | None":
    """Meet a lock that the host holds on a program of the system: then ours would hold it up."""
    if not bait["used_file"]:
        raise Unable("the host has no program that could be locked")
    with open(bait["used_file"], "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"the host's lock on {bait['used_file']} is felt here"
        fcntl.flock(file, fcntl.LOCK_UN)
    return None


@attack("files", "Landlock's list of what it does not restrict: stat(2), landlock(7)")
def ask_the_size_of_a_secret(bait: "Bait") -> "str | None":
    """Ask how large a file of the user's is, and when it was last written."""
    found = os.stat(bait["secret_file"])
    return f"{found.st_size} bytes, written at {found.st_mtime:.0f}"
