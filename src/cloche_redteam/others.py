"""Which process an attack is aimed at: never the machine's own first one."""

import errno
import os

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait


def started(pid: int) -> str:
    """Give when a process began, in ticks: with the number, it is that process and no other."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[19]  # proc_pid_stat(5), the 22nd field


def host(bait: "Bait") -> int:
    """Give the number of the bait's process. Raises ProcessLookupError where it is another's."""
    pid = int(bait["bystander"])
    try:
        same = started(pid) == bait["bystander_started"]
    except OSError:
        same = _among_the_hosts(bait)  # files of /proc may be hidden, and numbers work all the same
    if not same:
        raise ProcessLookupError(errno.ESRCH, "the host's processes have no number here")
    return pid


def first(bait: "Bait") -> int:
    """Give the sandbox's first process, or the bait's where there is no pid namespace.

    Raises ProcessLookupError where the first process is the attacker's own.
    """
    if _among_the_hosts(bait):
        return host(bait)
    if os.getppid() == 1:
        raise ProcessLookupError(errno.ESRCH, "the first process is the attacker's own")
    return 1


def _among_the_hosts(bait: "Bait") -> bool:
    return os.readlink("/proc/self/ns/pid") in bait["namespaces"].split(",")
