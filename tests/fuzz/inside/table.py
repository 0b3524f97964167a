"""Each system call with the kinds of its arguments; a kind is a method of Values, or flags of `bits.py`.

The calls are those that the profile names, allowed or refused, and those a
newer kernel has besides; numbers of the latter are one for all machines from
424 on (asm-generic/unistd.h, Linux 6.18).
"""

from cloche_launch import numbers

_CALLS = """
read fd out size; write fd data size; open path oflags mode; openat dirfd path oflags mode
openat2 dirfd path open_how how_size; close fd; close_range fd fd close_range; creat newpath mode
lseek fd offset whence; pread64 fd out size offset; pwrite64 fd data size offset
readv fd iovec count; writev fd iovec count; preadv fd iovec count offset zero
pwritev fd iovec count offset zero; preadv2 fd iovec count offset zero rwf
pwritev2 fd iovec count offset zero rwf; stat path out; fstat fd out; lstat path out
newfstatat dirfd path out at; statx dirfd path at statx out; access path mode
faccessat dirfd path mode; faccessat2 dirfd path mode at; dup fd; dup2 fd newfd; dup3 fd newfd oflags
fcntl fd fcntl fcntl_argument; flock fd flock; fsync fd; fdatasync fd; sync
sync_file_range fd offset offset flag; syncfs fd; truncate path length; ftruncate fd length
fallocate fd fallocate length length; getdents fd out size; getdents64 fd out size; getcwd out size
chdir path; fchdir fd; rename path newpath; renameat dirfd path dirfd newpath
renameat2 dirfd path dirfd newpath rename; mkdir newpath mode; mkdirat dirfd newpath mode
rmdir path; link path newpath; linkat dirfd path dirfd newpath at; symlink path newpath
symlinkat path dirfd newpath; readlink path out size; readlinkat dirfd path out size; unlink path
unlinkat dirfd path at; chmod path mode; fchmod fd mode; fchmodat dirfd path mode
fchmodat2 dirfd path mode at; chown path uid uid; fchown fd uid uid; lchown path uid uid
fchownat dirfd path uid uid at; umask mode; utime path data; utimes path timeval
futimesat dirfd path timeval; utimensat dirfd path timespec at; mknod newpath node device
mknodat dirfd newpath node device; statfs path out; fstatfs fd out
getxattr path xattr out size; lgetxattr path xattr out size; fgetxattr fd xattr out size
listxattr path out size; llistxattr path out size; flistxattr fd out size
setxattr path xattr data size xattr_flags; lsetxattr path xattr data size xattr_flags
fsetxattr fd xattr data size xattr_flags; removexattr path xattr; lremovexattr path xattr
fremovexattr fd xattr; sendfile fd fd pointer size; splice fd pointer fd pointer size splice
tee fd fd size splice; vmsplice fd iovec count splice
copy_file_range fd pointer fd pointer size zero; readahead fd offset size
fadvise64 fd offset size small; cachestat fd data out zero; inotify_init; inotify_init1 flag
inotify_add_watch fd path inotify; inotify_rm_watch fd id; memfd_create name memfd
mmap address length prot map fd page; munmap address length
mremap address length length mremap address; mprotect address length prot
madvise address length madvise; msync address length msync; mincore address length out
mlock address length; mlock2 address length flag; munlock address length; mlockall small
munlockall; brk address; membarrier membarrier zero small
get_mempolicy out data size address small; set_mempolicy small data size; pkey_alloc zero flag
pkey_free small; pkey_mprotect address length prot small; mseal address length zero
process_madvise fd iovec count madvise zero; fork; vfork; execve path strings strings
execveat dirfd path strings strings at; exit small; exit_group small
wait4 pid out wait out; waitid idtype pid out wait out; kill pid signal; tkill pid signal
tgkill pid pid signal; getpid; getppid; gettid; getpgid pid; setpgid pid pid; getpgrp; setsid
getsid pid; pidfd_open pid flag; pidfd_send_signal fd signal pointer flag
set_tid_address pointer; set_robust_list data size; get_robust_list pid out out
rseq data size small noise; arch_prctl arch_prctl address; getrlimit resource out
setrlimit resource rlimit; prlimit64 pid resource rlimit out; getrusage small out; times out
getpriority small pid; setpriority small pid small; sched_yield; sched_getaffinity pid size out
sched_setaffinity pid size data; sched_getparam pid out; sched_setparam pid sched_param
sched_getscheduler pid; sched_setscheduler pid flag sched_param; sched_get_priority_max small
sched_get_priority_min small; sched_rr_get_interval pid out; sched_getattr pid out size zero
sched_setattr pid sched_attr zero; ioprio_get small pid; ioprio_set small pid noise
getcpu out out zero; capget cap_header out; capset cap_header data; getuid; geteuid; getgid; getegid
getresuid out out out; getresgid out out out; getgroups small out; setuid uid; setgid uid
setreuid uid uid; setregid uid uid; setresuid uid uid uid; setresgid uid uid uid
setgroups small words; setfsuid uid; setfsgid uid; rt_sigaction signal sigaction out sigset_size
rt_sigprocmask small sigset out sigset_size; rt_sigreturn; rt_sigsuspend sigset sigset_size
rt_sigpending out sigset_size; rt_sigtimedwait sigset out timespec sigset_size
rt_sigqueueinfo pid signal data; rt_tgsigqueueinfo pid pid signal data; sigaltstack data out
signalfd fd sigset sigset_size; signalfd4 fd sigset sigset_size flag; pause; alarm small
restart_syscall; clock_gettime clock out; clock_getres clock out
clock_nanosleep clock small timespec out; gettimeofday out out; time out; nanosleep timespec out
getitimer small out; setitimer small timeval out; timer_create clock sigevent out
timer_settime id flag timespec out; timer_gettime id out; timer_getoverrun id; timer_delete id
timerfd_create clock flag; timerfd_settime fd flag timespec out; timerfd_gettime fd out
select small words words words timeval; pselect6 small words words words timespec data
poll pollfds small small; ppoll pollfds small timespec sigset sigset_size; epoll_create small
epoll_create1 flag; epoll_ctl fd epoll fd epoll_event; epoll_ctl_old fd epoll fd epoll_event
epoll_wait fd out small small; epoll_pwait fd out small small sigset sigset_size
epoll_pwait2 fd out small timespec sigset sigset_size; eventfd small; eventfd2 small flag
pipe out; pipe2 out oflags; futex words futex small timespec words noise
futex_waitv data small zero timespec clock; futex_wake words noise small small
futex_wait words small noise small timespec clock; futex_requeue data small small small
socket family socket_type protocol; socketpair family socket_type protocol pair
bind socket sockaddr socklen; connect socket sockaddr socklen; listen socket small
accept socket out pointer; accept4 socket out pointer flag; getsockname socket out pointer
getpeername socket out pointer; sendto socket message size msg sockaddr socklen
recvfrom socket out size msg out pointer; sendmsg socket msghdr msg; recvmsg socket msghdr msg
sendmmsg socket mmsghdr small msg; recvmmsg socket mmsghdr small msg timespec
shutdown socket small; setsockopt socket level option data socklen
getsockopt socket level option out pointer; shmget key length ipc; shmat id address shm; shmdt address
shmctl id ipc_command data; semget key small ipc; semop id sembuf small
semtimedop id sembuf small timespec; semctl id small ipc_command data; msgget key ipc
msgsnd id data size ipc; msgrcv id out size small ipc; msgctl id ipc_command data; uname out
sysinfo out; getrandom out size flag; landlock_create_ruleset ruleset ruleset_size flag
landlock_add_rule fd one landlock_rule zero; landlock_restrict_self fd zero
clone clone stack out out address; clone3 clone_args how_size; ioctl fd ioctl ioctl_argument
prctl prctl prctl_argument address noise noise; personality personality; unshare clone
setns fd clone; ptrace ptrace pid address data; process_vm_readv pid iovec count iovec count zero
process_vm_writev pid iovec count iovec count zero; pidfd_getfd fd small zero
kcmp pid pid small fd fd; keyctl keyctl key_serial data size key_serial
add_key key_type name data size key_serial; request_key key_type name data key_serial
bpf bpf bpf_attr how_size; perf_event_open perf_attr pid small fd perf; userfaultfd flag
mount path path file_system mount mount_data; umount2 path umount
move_mount dirfd path dirfd path move_mount; open_tree dirfd path open_tree; fsopen file_system small
fsconfig fd small name mount_data small; fsmount fd small mount_attribute; fspick dirfd path small
mount_setattr dirfd path at mount_attr how_size; pivot_root path path; chroot path
open_by_handle_at dirfd file_handle oflags; name_to_handle_at dirfd path file_handle out at
fanotify_init fanotify oflags; kexec_load address small data kexec; init_module data size name
finit_module fd name small; delete_module name oflags; reboot reboot_first reboot_second reboot data
swapon path small; swapoff path; quotactl quota path uid data; acct path; syslog small out size
settimeofday timeval words; clock_settime clock timespec; adjtimex timex; sethostname name size
setdomainname name size; vhangup; iopl small; ioperm size size small; modify_ldt small data size
lookup_dcookie noise out size; memfd_secret oflags; seccomp small small sock_fprog
io_uring_setup small uring_params; io_uring_enter fd small small small sigset sigset_size
io_uring_register fd small data small
"""
_BESIDES = """
open_tree_attr 467 dirfd path open_tree mount_attr how_size; quotactl_fd 443 fd quota uid data
statmount 457 statmount out size zero; listmount 458 statmount out size zero
lsm_get_self_attr 459 small out pointer zero; lsm_set_self_attr 460 small data size zero
lsm_list_modules 461 out pointer zero; map_shadow_stack 453 address length small
setxattrat 463 dirfd path at xattr xattr_args how_size; getxattrat 464 dirfd path at xattr xattr_args how_size
listxattrat 465 dirfd path at out size; removexattrat 466 dirfd path at xattr
file_getattr 468 dirfd path out how_size at; file_setattr 469 dirfd path data how_size at
process_mrelease 448 fd zero; set_mempolicy_home_node 450 address length small zero
"""
# Of one machine alone: asm/unistd_64.h
_OF_X86_64 = """
io_setup 206 small pointer; mq_open 240 name oflags mode zero; mq_unlink 241 name
mq_timedsend 242 fd data size small timespec; mq_timedreceive 243 fd out size out timespec
mbind 237 address length small data size small; migrate_pages 256 pid size data data
move_pages 279 pid count data data out small; kexec_file_load 320 fd fd size data kexec
fanotify_mark 301 fd fanotify noise dirfd path; uselib 134 path; ustat 136 device out
sysfs 139 small name out; remap_file_pages 216 address length zero page map
"""


def _words(text: str) -> "tuple[str, ...]":
    return tuple(text.split())


# These mostly end or stop whoever makes them, and so are made seldom.
SELDOM = _words("""
exit exit_group rt_sigreturn pause rt_sigsuspend vfork kill tkill tgkill execve execveat
arch_prctl brk munmap mprotect mremap set_robust_list rseq set_tid_address close_range alarm
setitimer rt_sigprocmask rt_sigaction landlock_restrict_self rt_sigqueueinfo rt_tgsigqueueinfo
pidfd_send_signal setrlimit prlimit64 sigaltstack fork clone mseal sync syncfs mlockall
rt_sigtimedwait clock_nanosleep nanosleep wait4 waitid futex personality pkey_mprotect
""")
# What gives a descriptor, to be used by the calls that follow.
OPENERS = _words("""
open openat openat2 creat dup socket memfd_create epoll_create1 eventfd2 timerfd_create signalfd4
inotify_init1 pidfd_open landlock_create_ruleset accept4 fcntl
""")
MAKES_A_PROCESS = ("fork", "vfork", "clone", "clone3")
_WITH_DESCRIPTOR = {"fd", "dirfd", "socket"}


class Call:
    """One system call: its number on this machine and what it takes."""

    __slots__ = ("kinds", "makes_a_process", "name", "number")

    def __init__(self, name: str, number: int, kinds: "tuple[str, ...]") -> None:
        self.name, self.number, self.kinds = name, number, kinds
        self.makes_a_process = name in MAKES_A_PROCESS


def rows() -> "dict[str, tuple[str, ...]]":
    """Give the kinds of arguments of every call that the profile could name."""
    return {words[0]: tuple(words[1:]) for words in _split(_CALLS)}


def calls(machine: str) -> "list[Call]":
    """Give what this machine has of them."""
    known = numbers.TABLES[machine]
    found = [Call(name, known[name], kinds) for name, kinds in rows().items() if name in known]
    besides = _BESIDES + (_OF_X86_64 if machine == "x86_64" else "")
    found += [Call(name, int(number), tuple(kinds)) for name, number, *kinds in _split(besides)]
    return found


def takes_a_descriptor(call: Call) -> bool:
    """Whether a call can be made on something that was opened before."""
    return bool(_WITH_DESCRIPTOR & set(call.kinds[:2]))


def _split(text: str) -> "list[list[str]]":
    return [row.split() for line in text.splitlines() for row in line.split(";") if row.split()]
