"""Names of files: what is shown inside, what is not, and ways around."""

import random


def _words(text: str) -> "tuple[str, ...]":
    return tuple(text.split())


_PROC = _words("""
mem maps pagemap clear_refs coredump_filter oom_score_adj oom_adj uid_map gid_map projid_map
setgroups timens_offsets attr/current attr/exec loginuid sessionid autogroup comm timerslack_ns
sched environ auxv exe cwd root fd fd/0 fd/1 fd/2 fd/3 fd/4 fd/63 fdinfo/0 map_files ns/user
ns/mnt ns/pid ns/net ns/ipc ns/uts ns/cgroup ns/time mountinfo cgroup stack syscall wchan
personality io limits status task root/etc/shadow root/../../etc cwd/../../.. mounts net/dev
net/tcp net/unix seccomp_cache smaps_rollup
""")
_SYSTEM = _words("""
/ /.. /../../../.. /proc /proc/self /proc/thread-self /proc/1 /proc/2
/proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/kernel/domainname
/proc/sys/kernel/modprobe /proc/sys/kernel/sysrq /proc/sys/kernel/ns_last_pid
/proc/sys/kernel/randomize_va_space /proc/sys/kernel/shmmax
/proc/sys/kernel/unprivileged_bpf_disabled /proc/sys/kernel/yama/ptrace_scope
/proc/sys/vm/drop_caches /proc/sys/vm/overcommit_memory /proc/sys/fs/binfmt_misc/register
/proc/sys/fs/mqueue/queues_max /proc/sys/fs/suid_dumpable /proc/sys/net/ipv4/ip_forward
/proc/sys/net/core/somaxconn /proc/sys/user/max_user_namespaces /proc/sysrq-trigger /proc/kcore
/proc/kmsg /proc/keys /proc/key-users /proc/kallsyms /proc/kpagecount /proc/kpageflags
/proc/timer_list /proc/slabinfo /proc/modules /proc/irq /proc/irq/default_smp_affinity
/proc/irq/0/smp_affinity /proc/bus/pci /proc/fs /proc/fs/ext4 /proc/scsi /proc/acpi /proc/mtrr
/proc/pressure/memory /proc/pressure/cpu /proc/pressure/io /proc/vmallocinfo /proc/sched_debug
/proc/asound /proc/driver /proc/net/nf_conntrack /proc/sysvipc/shm /proc/swaps /proc/iomem
/proc/ioports /proc/mounts /proc/version /proc/config.gz /proc/dynamic_debug/control /sys
/sys/kernel/uevent_helper /sys/kernel/debug /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs
/sys/firmware /sys/module /sys/power/state /sys/fs/cgroup/memory/release_agent /dev /dev/null
/dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ptmx /dev/pts /dev/pts/0 /dev/pts/ptmx
/dev/shm /dev/fd/0 /dev/stdout /dev/stderr /dev/console /dev/mem /dev/kmsg /dev/kvm /dev/fuse
/dev/loop-control /dev/loop0 /dev/vda /dev/sda /dev/net/tun /dev/vhost-net /dev/mqueue /dev/vsock
/dev/userfaultfd /dev/cpu/0/msr /dev/cpu_dma_latency /dev/hwrng /dev/rtc0 /dev/watchdog /usr
/usr/bin /usr/bin/true /usr/bin/su /usr/bin/passwd /usr/bin/mount /bin/sh /usr/lib /lib64 /etc
/etc/passwd /etc/shadow /etc/hosts /etc/resolv.conf /etc/ld.so.cache /root /root/.ssh /home /boot
/home/user /tmp /var /run /run/docker.sock /run/systemd/private /run/dbus/system_bus_socket /mnt
/project /project/canary /project/.. /project/../.. /project/directory /project/link
/project/setuid . .. ../.. ../../../../../../../../etc/shadow canary ./directory/../canary
link/../..
""")
# What is the host's own and is shown: here a call can go through.
_SHOWN = _words("""
/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /usr /usr/bin/true /usr/bin/su
/usr/lib /etc/passwd /etc/ld.so.cache /etc/services /proc/sys/kernel/hostname /proc/self/fd/0
/proc/self/fd/3 /project/setuid /project/link/a /dev/pts/ptmx /proc/self/exe /proc/self/cwd
/proc/self/root /dev/fd/1
""")
_HOLDERS = ("self", "1", "2", "3", "thread-self", "self/task/1")
_WRITABLE = ("/tmp", "/project", "/home/user", "/dev/shm", ".", "/project/directory")
_ENDS = (
    b"",
    b"",
    b"",
    b"-1",
    b"-2",
    b"-3",
    b"-4",
    b"-5",
    b"/cloche-fuzz",
    b"\xff\xfe",
    b"\n\x1b[2J",
)


def path(rng: random.Random, bait: "dict[str, str]") -> bytes:
    """Give a name that may lead anywhere."""
    which = rng.random()
    if which < 0.15:
        return rng.choice(_SHOWN).encode()
    if which < 0.3:
        return f"/proc/{rng.choice(_HOLDERS)}/{rng.choice(_PROC)}".encode()
    if which < 0.52:
        return rng.choice(_SYSTEM).encode()
    if which < 0.88:
        return (
            rng.choice((b"canary", b"/project/canary", b"directory", b"/tmp"))
            if which < 0.6
            else new_path(rng)
        )
    if which < 0.95:
        above = rng.choice(
            ("", "/proc/1/root", "/proc/self/root", "/proc/2/root", "../../..", "/project/..")
        )
        return f"{above}{bait['tree']}{rng.choice(('', '/secret', '/open', '/place/new', '/base'))}".encode()
    return rng.choice(
        (
            b"",
            b"x" * 255,
            b"x" * 256,
            b"/" * 4095,
            b"./" * 2040 + b"x",
            b"../" * 1300 + b"etc",
            b"\xff" * 64,
        )
    )


def new_path(rng: random.Random) -> bytes:
    """Give a name of ours below what may be written."""
    return f"{rng.choice(_WRITABLE)}/cloche-fuzz".encode() + rng.choice(_ENDS)
