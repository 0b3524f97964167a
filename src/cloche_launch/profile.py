"""The system calls a program inside may make: read it, it is meant to be reviewed.

An allow-list. A group is allowed whatever its arguments; a rule judges
arguments; everything else is refused. Refusal is EPERM for calls this file
names, so that a log says "not permitted", and ENOSYS for all others and for
those whose callers know how to do without, so that libraries fall back.
"""

ALLOWED = {
    # reading, writing and naming files; what may be reached is the mounts' and Landlock's to say
    "files": """
        read write open openat openat2 close close_range creat lseek pread64 pwrite64 readv
        writev preadv pwritev preadv2 pwritev2 stat fstat lstat newfstatat statx access
        faccessat faccessat2 dup dup2 dup3 fcntl flock fsync fdatasync sync sync_file_range
        syncfs truncate ftruncate fallocate getdents getdents64 getcwd chdir fchdir rename
        renameat renameat2 mkdir mkdirat rmdir link linkat symlink symlinkat readlink
        readlinkat unlink unlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown
        fchownat umask utime utimes futimesat utimensat mknod mknodat statfs fstatfs
        getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr
        fsetxattr removexattr lremovexattr fremovexattr sendfile splice tee vmsplice
        copy_file_range readahead fadvise64 cachestat inotify_init inotify_init1
        inotify_add_watch inotify_rm_watch memfd_create
    """,
    # a program's own memory; JIT compilers map and protect
    "memory": """
        mmap munmap mremap mprotect madvise msync mincore mlock mlock2 munlock mlockall
        munlockall brk membarrier get_mempolicy set_mempolicy pkey_alloc pkey_free
        pkey_mprotect mseal process_madvise
    """,
    # making, scheduling and ending own processes; clone is judged by its flags below, and setrlimit
    # and prlimit64 by the limit
    "processes": """
        fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill getpid
        getppid gettid getpgid setpgid getpgrp setsid getsid pidfd_open pidfd_send_signal
        set_tid_address set_robust_list get_robust_list rseq arch_prctl getrlimit
        getrusage times getpriority setpriority sched_yield sched_getaffinity
        sched_setaffinity sched_getparam sched_setparam sched_getscheduler
        sched_setscheduler sched_get_priority_max sched_get_priority_min
        sched_rr_get_interval sched_getattr sched_setattr ioprio_get ioprio_set getcpu
        capget capset
    """,
    # asking who one is; changing it needs capabilities that are not there
    "identity": """
        getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid
        setregid setresuid setresgid setgroups setfsuid setfsgid
    """,
    # signals among own processes; others are in another pid namespace
    "signals": """
        rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigpending rt_sigtimedwait
        rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack signalfd signalfd4 pause alarm
        restart_syscall
    """,
    # reading clocks and waiting; setting them is not here
    "time": """
        clock_gettime clock_getres clock_nanosleep gettimeofday time nanosleep getitimer
        setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
        timerfd_create timerfd_settime timerfd_gettime
    """,
    # event loops and locks
    "waiting": """
        select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_ctl_old
        epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2 futex futex_waitv
        futex_wake futex_wait futex_requeue
    """,
    # using sockets; making one, or a pair, is judged by its family below
    "sockets": """
        bind connect listen accept accept4 getsockname getpeername sendto
        recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown setsockopt getsockopt
    """,
    # System V IPC of the own IPC namespace (fakeroot, some databases)
    "shared": """
        shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
    """,
    # the machine's name, memory and random numbers
    "facts": """
        uname sysinfo getrandom
    """,
    # a program may confine itself further
    "narrowing": """
        landlock_create_ruleset landlock_add_rule landlock_restrict_self
    """,
}

# linux/sched.h: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
CLONE_NAMESPACES = 0x7E02_0000

# linux/socket.h. A pair is of AF_UNIX alone: for any other family the kernel first makes a socket,
# loading the family's module, and only then says that it knows no pairs; TIPC does know them.
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCKET_TYPES = (1, 2, 5)  # STREAM, DGRAM, SEQPACKET; not RAW, RDM, PACKET
SOCKET_TYPE_MASK = 0xF  # SOCK_NONBLOCK and SOCK_CLOEXEC are flags above it
INET_PROTOCOLS = (0, 6, 17)  # IP, TCP, UDP; not ICMP, SCTP, MPTCP, UDPLITE
NETLINK_ROUTE = 0  # glibc asks it for addresses; changing needs capabilities

# asm-generic/ioctls.h: each writes into, or takes over, a terminal
REFUSED_IOCTLS = {
    0x5412: "TIOCSTI types into the terminal (CVE-2017-5226)",
    0x541C: "TIOCLINUX pastes into a console",
    0x541D: "TIOCCONS takes the console's output",
    0x5423: "TIOCSETD loads a line discipline",
}

# asm-generic/resource.h. The launcher's value keeps cores from the host's handler; every other, 0 too,
# would send them there. Asking for another is answered with success, and nothing is changed: `ulimit -c
# 0` is honest, and what it asks for holds already.
RLIMIT_CORE = 4

# Huge pages that an administrator has set aside belong to no control group of memory (hugetlb counts them
# apart), so none are given. asm-generic/mman.h, linux/memfd.h, linux/shm.h: (index of the flags, the flag)
HUGE_PAGES = {"mmap": (3, 0x4_0000), "memfd_create": (1, 0x4), "shmget": (2, 0o4000)}

# linux/prctl.h: what runtimes use on themselves
ALLOWED_PRCTLS = {
    1: "PR_SET_PDEATHSIG",
    2: "PR_GET_PDEATHSIG",
    3: "PR_GET_DUMPABLE",
    4: "PR_SET_DUMPABLE",
    7: "PR_GET_KEEPCAPS",
    15: "PR_SET_NAME",
    16: "PR_GET_NAME",
    21: "PR_GET_SECCOMP",
    23: "PR_CAPBSET_READ",
    25: "PR_GET_TSC",
    27: "PR_GET_SECUREBITS",
    29: "PR_SET_TIMERSLACK",
    30: "PR_GET_TIMERSLACK",
    36: "PR_SET_CHILD_SUBREAPER",
    37: "PR_GET_CHILD_SUBREAPER",
    38: "PR_SET_NO_NEW_PRIVS",
    39: "PR_GET_NO_NEW_PRIVS",
    40: "PR_GET_TID_ADDRESS",
    41: "PR_SET_THP_DISABLE",
    42: "PR_GET_THP_DISABLE",
    47: "PR_CAP_AMBIENT",
    0x53564D41: "PR_SET_VMA: names for mappings, used by allocators",
}

# linux/personality.h: the default, ADDR_NO_RANDOMIZE (debuggers), and the question
ALLOWED_PERSONALITIES = (0x0, 0x0004_0000, 0xFFFF_FFFF)

NOT_PERMITTED = {
    "unshare": "new namespaces give new attack surface inside",
    "setns": "other namespaces are not this program's",
    "ptrace": "looking into other processes",
    "process_vm_readv": "looking into other processes",
    "process_vm_writev": "looking into other processes",
    "pidfd_getfd": "taking other processes' descriptors",
    "kcmp": "comparing other processes' resources",
    "keyctl": "keyrings are the host user's",
    "add_key": "keyrings are the host user's",
    "request_key": "starts a helper of the host",
    "bpf": "programs in the kernel",
    "perf_event_open": "measures the whole machine; long history of faults",
    "userfaultfd": "makes kernel races winnable",
    "mount": "the file tree is the launcher's",
    "umount2": "the file tree is the launcher's",
    "move_mount": "the file tree is the launcher's",
    "open_tree": "the file tree is the launcher's",
    "fsopen": "the file tree is the launcher's",
    "fsconfig": "the file tree is the launcher's",
    "fsmount": "the file tree is the launcher's",
    "fspick": "the file tree is the launcher's",
    "mount_setattr": "the file tree is the launcher's",
    "pivot_root": "the file tree is the launcher's",
    "chroot": "the file tree is the launcher's",
    "open_by_handle_at": "opens files without a path (the shocker escape)",
    "name_to_handle_at": "the other half of open_by_handle_at",
    "fanotify_init": "watches whole file systems",
    "kexec_load": "the machine's kernel",
    "init_module": "the machine's kernel",
    "finit_module": "the machine's kernel",
    "delete_module": "the machine's kernel",
    "reboot": "the machine",
    "swapon": "the machine",
    "swapoff": "the machine",
    "quotactl": "the machine",
    "acct": "the machine",
    "syslog": "the kernel's log holds addresses",
    "settimeofday": "the machine's clock",
    "clock_settime": "the machine's clock",
    "adjtimex": "the machine's clock",
    "sethostname": "names are the launcher's",
    "setdomainname": "names are the launcher's",
    "vhangup": "the terminal",
    "iopl": "ports of the hardware",
    "ioperm": "ports of the hardware",
    "modify_ldt": "old, and a history of faults",
    "lookup_dcookie": "a profiler's, removed from the kernel",
    "memfd_secret": "memory that nobody can look into",
    "seccomp": "a filter of its own could wait for a listener of its own",
}

NOT_THERE = {
    "clone3": "its flags lie in memory, where no filter can judge them; libc falls back to clone",
    "io_uring_setup": "does system calls that no filter sees",
    "io_uring_enter": "does system calls that no filter sees",
    "io_uring_register": "does system calls that no filter sees",
}

# What is refused besides where no namespace stands between the program and the host: docs/tiers.md.
IN_PLACE_REFUSED = {
    "bind": "the network, and the names of sockets, are the host's",
    "listen": "the network is the host's; an unbound socket that listens gets a port of its own",
    "accept": "the network is the host's",
    "accept4": "the network is the host's",
    **dict.fromkeys(ALLOWED["shared"].split(), "System V objects are the host's"),
    "inotify_add_watch": "Landlock lets watch what it does not let read",
    # user.overlay.opaque on the layer of another part of the project is the deletion of what lies there.
    **dict.fromkeys(
        ["setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"],
        "Landlock does not judge attributes, and those of our layers say what a commit does",
    ),
}

IN_PLACE_OWN_ONLY = {
    "prlimit64": (0,),
    "sched_setaffinity": (0,),
    "sched_setparam": (0,),
    "sched_setscheduler": (0,),
    "sched_setattr": (0,),
    "setpriority": (0, 1),
    "ioprio_set": (1,),
    "getsid": (0,),
    "getpgid": (0,),
}
"""Arguments that must be 0, the caller itself: other processes of the user are of its own uid."""

IN_PLACE_FCNTLS = {
    8: "F_SETOWN: whom the kernel signals for a descriptor",
    10: "F_SETSIG: and with what",
    15: "F_SETOWN_EX: the same for a thread or a group",
}

IN_PLACE_IOCTLS = {
    0x8901: "FIOSETOWN is F_SETOWN for sockets",
    0x8902: "SIOCSPGRP is F_SETOWN for sockets",
    0x40086602: "FS_IOC_SETFLAGS asks for no right to write",
    0x401C5820: "FS_IOC_FSSETXATTR asks for no right to write",
    0x40806685: "FS_IOC_ENABLE_VERITY makes a file read-only for ever",
}

# linux/stat.h. Who owns a file may let others run it as himself, and the directories above it are his
# to open: on a machine of several users, a way out by the hands of another.
SET_IDENTITY = 0o6000
MODES = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "creat": 1,
    "mknod": 1,
    "mknodat": 2,
}
O_MAKES = 0o100 | 0o20000000
"""O_CREAT, __O_TMPFILE (asm-generic/fcntl.h): without one of them the mode is chance."""
MODES_OF_OPEN = {"open": (1, 2), "openat": (2, 3)}
"""Calls, and which arguments are the flags and the mode."""
MODE_UNSEEN = "openat2"
"""Its mode lies in memory, where no filter can judge it; its callers know how to do without."""

# linux/stat.h: a character device 0/0 is overlayfs's sign for "deleted", and needs no right
S_IFMT, S_IFCHR, S_IFBLK = 0o170000, 0o020000, 0o060000
MODES_OF_MKNOD = ("mknod", "mknodat")

EVERYBODY = 0xFFFF_FFFF
"""kill(-1): everything that the user runs, before Landlock's ABI 6 confined signals."""

MSG_FASTOPEN = 0x2000_0000
FAST_OPENING = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}
"""Calls and their flags: what opens a connection by sending asks Landlock nothing, tcp(7)."""

SOCK_STREAM = 1
PAIR_TYPES = (1, 5)
"""Of a pair: STREAM, SEQPACKET. A datagram socket of a pair can still send to any name, unix(7)."""
