"""Attacks on processes: seeing, reading and steering those of others."""

import ctypes
import errno
import os
import resource
import struct

from cloche_redteam import libc, others, places
from cloche_redteam.attack import attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_CLONE_NEWNS = 0x0002_0000


@attack("processes", "pid_namespaces(7)")
def see_a_process_of_the_host(bait: "Bait") -> "str | None":
    """See a process of the host in /proc."""
    return "saw it" if others.started(int(bait["bystander"])) == bait["bystander_started"] else None


@attack("processes", "pid_namespaces(7): threads of the kernel are in the first one alone")
def see_the_kernels_threads(_bait: "Bait") -> "str | None":
    """See the first thread of the kernel, which is 2 in the host's numbering."""
    with open("/proc/2/comm", encoding="ascii", errors="replace") as file:
        return "saw it" if file.read().strip() == "kthreadd" else None


@attack("processes", "secrets among arguments, proc_pid_cmdline(5)")
def read_the_callers_arguments(bait: "Bait") -> "str | None":
    """Read the arguments of a process of the host."""
    with open(f"/proc/{others.host(bait)}/cmdline", "rb") as file:
        return "read them" if bait["secret_text"].encode() in file.read() else None


@attack("processes", "kill(2)")
def signal_a_process_of_the_host(bait: "Bait") -> "str | None":
    """Ask whether a process of the host may be signalled."""
    os.kill(others.host(bait), 0)
    return "it may be"


@attack("processes", "proc_pid_mem(5), sandbox-runtime's helper that could be looked into")
def open_the_first_processs_memory(bait: "Bait") -> "str | None":
    """Open the memory of the sandbox's first process for reading and writing, and do neither."""
    os.close(os.open(f"/proc/{others.first(bait)}/mem", os.O_RDWR))
    return "opened it"


@attack("processes", "proc_pid_maps(5), proc_pid_auxv(5)")
def learn_where_the_first_processs_code_lies(bait: "Bait") -> "str | None":
    """Read the map of the memory of the sandbox's first process."""
    with open(f"/proc/{others.first(bait)}/maps", "rb") as file:
        return "read it" if file.read(64) else None


@attack("processes", "proc_pid_auxv(5): addresses, and the seed of stack protectors")
def learn_what_the_first_process_was_told(bait: "Bait") -> "str | None":
    """Read the auxiliary vector of the sandbox's first process."""
    with open(f"/proc/{others.first(bait)}/auxv", "rb") as file:
        return "read it" if file.read(16) else None


@attack("processes", "proc_pid_syscall(5), proc_pid_stack(5)")
def learn_where_the_first_process_stands(bait: "Bait") -> "str | None":
    """Read which call the sandbox's first process is in, with its stack pointer."""
    with open(f"/proc/{others.first(bait)}/syscall", "rb") as file:
        return "read it" if file.read() else None


@attack("processes", "process_vm_readv(2)")
def read_the_first_processs_memory(bait: "Bait") -> "str | None":
    """Read a byte, at an address that is none, from the sandbox's first process."""
    byte = ctypes.create_string_buffer(1)
    own = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(byte), 1))
    other = ctypes.create_string_buffer(struct.pack("QQ", 8, 1))
    try:
        libc.syscall(libc.number(310, 270), others.first(bait), own, 1, other, 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise
    return "nothing but the address kept it"


@attack("processes", "kcmp(2)")
def compare_oneself_with_the_first_process(bait: "Bait") -> "str | None":
    """Compare kernel objects of one's own with those of the sandbox's first process."""
    libc.syscall(libc.number(312, 272), os.getpid(), others.first(bait), 1, 0, 0)  # KCMP_VM
    return "compared"


@attack("processes", "prlimit(2)")
def read_the_callers_limits(bait: "Bait") -> "str | None":
    """Read the limits of a process of the host."""
    return f"open files: {resource.prlimit(others.host(bait), resource.RLIMIT_NOFILE)}"


@attack("processes", "sched_setaffinity(2)")
def steer_the_callers_processors(bait: "Bait") -> "str | None":
    """Set the processors of a process of the host, to those it has."""
    pid = others.host(bait)
    os.sched_setaffinity(pid, os.sched_getaffinity(pid))
    return "set them"


@attack("processes", "setpriority(2)")
def steer_the_callers_priority(bait: "Bait") -> "str | None":
    """Set the priority of a process of the host, to the one it has."""
    pid = others.host(bait)
    os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
    return "set it"


@attack("processes", "getsid(2), credentials(7)")
def learn_the_callers_session(bait: "Bait") -> "str | None":
    """Ask which session and group a process of the host is in."""
    pid = others.host(bait)
    return f"session {os.getsid(pid)}, group {os.getpgid(pid)}"


@attack("processes", "proc_pid_oom_score_adj(5): it chooses who dies when memory runs out")
def choose_who_dies_first(bait: "Bait") -> "str | None":
    """Open what marks a process of the host to be killed when memory runs out."""
    os.close(os.open(f"/proc/{others.host(bait)}/oom_score_adj", os.O_WRONLY))
    return "opened it"


@attack("processes", "nsenter(1), setns(2)")
def enter_the_first_processs_mounts(bait: "Bait") -> "str | None":
    """Enter the mount namespace of the sandbox's first process and read a file of the user's there."""
    namespace = os.open(f"/proc/{others.first(bait)}/ns/mnt", os.O_RDONLY)
    libc.syscall(libc.number(308, 268), namespace, _CLONE_NEWNS)
    with open(bait["secret_file"], encoding="utf-8") as file:
        return "read it" if bait["secret_text"] in file.read() else None


@attack("processes", "daemon(7): forked twice, a process belongs to nobody who waits for it")
def leave_an_orphan_behind(bait: "Bait") -> "str | None":
    """Leave a process that the host adopts, and which would outlive the sandbox."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                os.sched_yield()
            os.write(writer, os.readlink("/proc/self/ns/pid").encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    namespace = os.read(reader, 64).decode()
    return "the host adopted it" if namespace in bait["namespaces"].split(",") else None


@attack(
    "processes", "Seaborn and Dullien 2015: rowhammer wants physical addresses; proc_pid_pagemap(5)"
)
def learn_physical_addresses(_bait: "Bait") -> "str | None":
    """Read where in the machine's memory a page of one's own lies."""
    page = ctypes.create_string_buffer(b"touched", 8192)
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        file.seek(ctypes.addressof(page) // os.sysconf("SC_PAGE_SIZE") * 8)
        entry = struct.unpack("Q", file.read(8))[0]
    return "read it" if entry & ((1 << 55) - 1) else None  # bits 0 to 54; zero for who may not know


@attack("processes", "proc_kpageflags(5)")
def read_the_flags_of_all_memory(bait: "Bait") -> "str | None":
    """Open what the kernel knows of every page of the machine."""
    return places.opened(places.of(bait, "page flags"), os.O_RDONLY)


@attack("processes", "proc_pid_stat(5), CVE-2019-5736: a launcher that can be looked at")
def reach_the_caller_by_ones_parents(bait: "Bait") -> "str | None":
    """Climb from parent to parent to a process of the host."""
    pid = os.getpid()
    for _ in range(32):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
        if pid == 0:
            return None
        if pid == int(bait["host_pid"]):
            return "reached it" if others.started(pid) == bait["host_started"] else None
    return None
