"""Attacks on the host's resources: more processes and files than one's share, and rights over others'.

Each takes 200 processes at most, for a moment: a sandbox of 64 ends it, a
machine hardly feels it.
"""

import ctypes
import mmap
import os
import resource
import signal
import struct
import threading
import time

from cloche_redteam import shared
from cloche_redteam.attack import Unable, attack
from cloche_redteam.libc import number, syscall
from cloche_redteam.taking import MANY, MIB, crowd, hold, many_files

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_FORKS = "the fork bomb, CIS Docker 5.28"
_LIMITS = "resource limits, CIS Docker 5.18"
_PRIORITY = "starving others of the processor, CWE-400"


@attack("resources", _FORKS, alone=True)
def start_many_processes(bait: "Bait") -> "str | None":
    """Have 200 children live at once."""
    del bait
    alive = crowd(MANY, lambda: time.sleep(4))
    return f"{alive} lived at once" if alive == MANY else None


@attack("resources", _FORKS, alone=True)
def start_many_daemons(bait: "Bait") -> "str | None":
    """Have 200 orphans in sessions of their own live at once."""
    del bait
    reader, writer = os.pipe()
    for _ in range(MANY):
        middle = os.fork()
        if middle == 0:
            os.setsid()
            try:
                if os.fork() == 0:
                    hold()
                    hold()
                    os.write(writer, b".")
            finally:
                os._exit(0)
        os.waitpid(middle, 0)
    os.close(writer)
    said = b""
    while block := os.read(reader, MANY):
        said += block
    return f"{len(said)} lived at once" if len(said) == MANY else None


@attack("resources", _FORKS, alone=True)
def leave_many_zombies(bait: "Bait") -> "str | None":
    """Leave 200 dead children unmourned: each keeps its number."""
    del bait
    made = []
    try:
        for _ in range(MANY):
            child = os.fork()
            if child == 0:
                os._exit(0)
            made.append(child)
        hold()
    finally:
        for child in made:
            os.waitpid(child, 0)
    return f"{MANY} kept their numbers"


@attack("resources", _FORKS, alone=True)
def start_many_threads(bait: "Bait") -> "str | None":
    """Have 200 threads live at once."""
    del bait
    threading.stack_size(1 << 18)
    end = threading.Event()
    for _ in range(MANY):
        threading.Thread(target=end.wait, args=(5,), daemon=True).start()
    hold()
    alive = threading.active_count()
    return f"{alive} lived at once" if alive > MANY else None


@attack("resources", "exhausting descriptors, CWE-769")
def open_many_files(bait: "Bait") -> "str | None":
    """Hold 5,000 descriptors."""
    if 0 <= int(bait["open_files"]) < 6_000:
        raise Unable(f"the user's own limit is {bait['open_files']}")
    many_files()
    made = [os.dup(1) for _ in range(5_000)]
    return f"held {len(made)}"


@attack("resources", "a sparse file that a backup or a copy fills, CWE-409")
def make_a_file_without_end(bait: "Bait") -> "str | None":
    """Make a file of 5 GiB that takes no space."""
    del bait
    path = f"long-{os.getpid()}"
    made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.unlink(path)
    os.ftruncate(made, 5 << 30)
    return f"{os.fstat(made).st_size >> 30} GiB long"


@attack("resources", "filling a log, CWE-779", alone=True)
def print_without_end(bait: "Bait") -> "str | None":
    """Print 20 MiB, and be heard after it."""
    del bait
    line = b"x" * (MIB - 1) + b"\n"
    for _ in range(20):
        sent = 0
        while sent < len(line):
            sent += os.write(1, line[sent:])
    return "all was kept, and this as well"


@attack("resources", _LIMITS)
def raise_a_limit(bait: "Bait") -> "str | None":
    """Raise a hard limit above what was given, and lower it again."""
    kind = resource.RLIMIT_SIGPENDING
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY:
        return "there is no limit of pending signals at all"
    try:
        resource.setrlimit(kind, (soft, hard + 1))
    except ValueError:  # so Python says EPERM here
        _must_be_able(bait)
        return None
    resource.setrlimit(kind, (soft, hard))
    return f"raised the pending signals from {hard}"


@attack("resources", "cores on the disk and to the host's handler, CVE-2022-4415")
def ask_for_cores(bait: "Bait") -> "str | None":
    """Ask that a crash leave a core; none is left."""
    del bait
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    wanted = hard if hard not in (0, 1) else 1 << 20  # raising it takes a right
    resource.setrlimit(resource.RLIMIT_CORE, (wanted, wanted))
    given = resource.getrlimit(resource.RLIMIT_CORE)[0]
    return f"cores of {given} bytes" if given not in (0, 1) else None


@attack("resources", "memory that cannot be swapped out, CWE-400")
def lock_memory(bait: "Bait") -> "str | None":
    """Lock 64 MiB."""
    del bait
    block = mmap.mmap(-1, 64 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    place = ctypes.addressof(ctypes.c_char.from_buffer(block))
    syscall(number(149, 228), place, 64 * MIB)
    return "locked 64 MiB"


@attack("resources", "what the kernel keeps for each user, RLIMIT_SIGPENDING")
def leave_many_signals_pending(bait: "Bait") -> "str | None":
    """Leave 10,000 signals pending."""
    del bait
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    information = struct.pack("iiii", signal.SIGRTMIN, 0, -1, 0) + bytes(112)  # SI_QUEUE
    for _ in range(10_000):
        syscall(number(129, 138), os.getpid(), int(signal.SIGRTMIN), information)
    return "10,000 wait"


@attack("resources", "timers are counted with signals, timer_create(2)")
def make_many_timers(bait: "Bait") -> "str | None":
    """Hold 10,000 timers."""
    del bait
    room = ctypes.create_string_buffer(8)
    for _ in range(10_000):
        syscall(number(222, 107), time.CLOCK_MONOTONIC, 0, room)
    return "held 10,000"


@attack("resources", "kernel memory by message queues, RLIMIT_MSGQUEUE")
def fill_a_message_queue(bait: "Bait") -> "str | None":
    """Fill a POSIX queue, which the user has few of, and take it away."""
    del bait
    name = f"cloche-redteam-{os.getpid()}"
    queue = shared.open_named_queue(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NONBLOCK)
    shared.remove_named_queue(name)
    for _ in range(10):
        shared.put_named(queue, bytes(8192))
    return "80 KiB of the user's share"


@attack("resources", "the user's inotify instances: editors outside get none, inotify(7)")
def take_the_users_inotify_instances(bait: "Bait") -> "str | None":
    """Take more than a third of what the user has."""
    del bait
    with open("/proc/sys/fs/inotify/max_user_instances", encoding="ascii") as file:
        most = int(file.read())
    if most > 3_000:
        raise Unable(f"the user has {most}, more than can be taken in passing")
    made = [syscall(number(294, 26), 0) for _ in range(most // 3 + 1)]
    return f"took {len(made)} of {most}"


@attack("resources", _PRIORITY)
def be_more_important(bait: "Bait") -> "str | None":
    """Raise one's own priority above that of others, for no time at all."""
    del bait
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, before - 1 if before > -20 else before)
    os.setpriority(os.PRIO_PROCESS, 0, before)
    return f"priority {before - 1} was given"


@attack("resources", "real-time processes that lock a machine, sched(7)")
def be_in_real_time(bait: "Bait") -> "str | None":
    """Run before everything else of the machine, for no time at all."""
    del bait
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return "ran in real time"


@attack("resources", "real-time disk access, ioprio_set(2)")
def be_first_at_the_disk(bait: "Bait") -> "str | None":
    """Put one's own reads and writes before everybody's."""
    del bait
    syscall(number(251, 30), 1, 0, (1 << 13) | 4)  # IOPRIO_WHO_PROCESS, IOPRIO_CLASS_RT
    return "first at the disk"


@attack("resources", "CVE-2022-0492, control groups that can be written")
def loosen_the_control_group(bait: "Bait") -> "str | None":
    """Open a control group's own limits for writing; nothing is written."""
    del bait
    names = {"memory.max", "memory.limit_in_bytes", "pids.max", "cgroup.procs"}
    for place, _, files in os.walk("/sys/fs/cgroup"):
        for name in sorted(names & set(files)):
            os.close(os.open(f"{place}/{name}", os.O_WRONLY))
            return f"opened {place}/{name}"
        if place.count("/") > 6:
            break
    if not os.path.exists("/proc/cgroups"):
        raise Unable("this kernel has no control groups")
    return None


@attack("resources", "another's limits by prlimit(2)")
def read_the_limits_of_a_process_of_the_host(bait: "Bait") -> "str | None":
    """Ask for the limits of a process of the host, by the call that also sets them."""
    resource.prlimit(int(bait["host_pid"]), resource.RLIMIT_NOFILE)
    here = os.readlink("/proc/self/ns/pid")
    return "it told" if here in bait["namespaces"].split(",") else None


def _must_be_able(bait: "Bait") -> None:
    if not int(bait["rights"], 16) >> 24 & 1:  # CAP_SYS_RESOURCE
        raise Unable("who laid the bait has no CAP_SYS_RESOURCE either")
