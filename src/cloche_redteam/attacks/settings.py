"""Attacks on the kernel's settings: what is found is written back as it was, or only opened."""

import errno
import mmap
import os
import struct
from functools import partial
from itertools import islice

from cloche_redteam.attack import Unable, attack
from cloche_redteam.family import member
from cloche_redteam.kernel import alone_with_mounts, mount
from cloche_redteam.libc import number, syscall

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche_redteam.attack import Bait

_PROCFS = "CVE-2025-31133 and CVE-2025-52881: runc led to write into /proc"
_DOCUMENTED = "Documentation/admin-guide/sysctl"
# the words of the name, the setting below /proc/sys, where the idea comes from
_SETTINGS = (
    ("the_program_that_gets_cores", "kernel/core_pattern", _PROCFS),
    ("the_number_of_core_helpers", "kernel/core_pipe_limit", _DOCUMENTED),
    ("the_sysrq_keys", "kernel/sysrq", _PROCFS),
    (
        "the_program_that_loads_modules",
        "kernel/modprobe",
        "modprobe_path, the classic end of an exploit",
    ),
    (
        "the_program_that_powers_off",
        "kernel/poweroff_cmd",
        "orderly_poweroff, modprobe_path's sibling",
    ),
    ("the_rights_of_kernel_helpers", "kernel/usermodehelper/bset", _DOCUMENTED),
    ("the_layout_of_memory", "kernel/randomize_va_space", _DOCUMENTED),
    ("who_may_see_pointers", "kernel/kptr_restrict", _DOCUMENTED),
    ("who_may_read_the_log", "kernel/dmesg_restrict", _DOCUMENTED),
    ("who_may_profile", "kernel/perf_event_paranoid", _DOCUMENTED),
    ("who_may_load_bpf", "kernel/unprivileged_bpf_disabled", _DOCUMENTED),
    ("who_may_trace", "kernel/yama/ptrace_scope", "Documentation/admin-guide/LSM/Yama"),
    ("who_may_have_rings", "kernel/io_uring_disabled", _DOCUMENTED),
    ("what_a_panic_does", "kernel/panic", _DOCUMENTED),
    ("what_an_oops_does", "kernel/panic_on_oops", _DOCUMENTED),
    ("how_many_processes_there_are", "kernel/threads-max", _DOCUMENTED),
    ("the_lowest_address", "vm/mmap_min_addr", "CVE-2009-2692: a null pointer of the kernel's"),
    ("how_memory_is_promised", "vm/overcommit_memory", _DOCUMENTED),
    ("when_memory_has_ended", "vm/panic_on_oom", _DOCUMENTED),
    ("how_links_are_followed", "fs/protected_symlinks", "Documentation/admin-guide/sysctl/fs"),
    ("how_hard_links_are_made", "fs/protected_hardlinks", "Documentation/admin-guide/sysctl/fs"),
    ("whose_cores_are_written", "fs/suid_dumpable", "CVE-2006-2451, suid_dumpable"),
    ("how_many_files_there_are", "fs/file-max", "Documentation/admin-guide/sysctl/fs"),
    ("what_may_be_typed", "dev/tty/legacy_tiocsti", "CVE-2017-5226, TIOCSTI"),
)


def _rewrite(setting: str, bait: "Bait") -> "str | None":
    del bait
    path = f"/proc/sys/{setting}"
    if not os.path.lexists(path) and os.path.isdir("/proc/sys/kernel"):
        raise Unable(f"this kernel has no {setting}")
    with open(path, "r+b", buffering=0) as file:
        value = file.read()
        file.seek(0)
        file.write(value)
    return f"written as it was: {value.decode('utf-8', 'replace').strip()[:60]}"


def _register() -> None:
    for words, setting, source in _SETTINGS:
        member(
            "kernel-settings",
            source,
            partial(_rewrite, setting),
            name=f"set_{words}",
            title=f"Write {setting.replace('/', '.')}, with the value it has.",
        )


_register()


@attack("kernel-settings", "uevent_helper: the kernel starts it as root of the machine")
def set_the_program_that_hears_of_devices(bait: "Bait") -> "str | None":
    """Open uevent_helper for writing."""
    del bait
    return _opened("/sys/kernel/uevent_helper", "/sys/kernel")


@attack("kernel-settings", _PROCFS)
def press_a_sysrq_key(bait: "Bait") -> "str | None":
    """Open sysrq-trigger for writing."""
    del bait
    return _opened("/proc/sysrq-trigger", "/proc/version")


@attack("kernel-settings", "sysfs: large pages are everyone's")
def set_the_use_of_large_pages(bait: "Bait") -> "str | None":
    """Open the setting of transparent large pages for writing."""
    del bait
    return _opened("/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm")


@attack("kernel-settings", "sysfs: a made-up event of a device, told to everyone who listens")
def make_up_an_event(bait: "Bait") -> "str | None":
    """Open the uevent file of a device for writing."""
    del bait
    return _opened("/sys/devices/virtual/mem/null/uevent", "/sys/devices")


@attack("kernel-settings", "proc(5), /proc/irq: which processor is interrupted")
def set_who_is_interrupted(bait: "Bait") -> "str | None":
    """Open the affinity of interrupts for writing."""
    del bait
    return _opened("/proc/irq/default_smp_affinity", "/proc/version")


@attack("kernel-settings", "kmsg: what is written there looks as if the kernel had said it")
def speak_as_the_kernel(bait: "Bait") -> "str | None":
    """Open the kernel's log for writing."""
    del bait
    os.close(os.open("/dev/kmsg", os.O_WRONLY | os.O_NONBLOCK))
    return "it is open for writing"


def _opened(path: str, beside: str) -> "str | None":
    """Open for writing, and write nothing. Where `beside` is there, nobody hid what is not."""
    if not os.path.lexists(path) and os.path.lexists(beside):
        raise Unable(f"this kernel has no {path}")
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    return "it is open for writing"


@attack("kernel-settings", "Docker's masked paths: all memory of the machine")
def read_the_kernels_memory(bait: "Bait") -> "str | None":
    """Read from /proc/kcore."""
    del bait
    if not os.path.lexists("/proc/kcore") and os.path.lexists("/proc/version"):
        raise Unable("this kernel has no /proc/kcore")
    return _read("/proc/kcore")


@attack("kernel-settings", "kmsg: addresses, devices, and what others do")
def read_the_kernels_messages(bait: "Bait") -> "str | None":
    """Read a record of /dev/kmsg."""
    del bait
    return _read("/dev/kmsg")


def _read(path: str) -> "str | None":
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return f"{len(os.read(opened, 8192))} bytes"
    finally:
        os.close(opened)


@attack("kernel-settings", "proc(5), /proc/kmsg: whoever reads takes it from the log's keeper")
def open_the_log_of_the_kernel(bait: "Bait") -> "str | None":
    """Open /proc/kmsg, and read nothing."""
    del bait
    os.close(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    return "it is open"


@attack("kernel-settings", "kptr_restrict: where the kernel lies ends its randomness")
def learn_where_the_kernel_lies(bait: "Bait") -> "str | None":
    """Read an address from /proc/kallsyms."""
    del bait
    return _address("/proc/kallsyms", lambda line: line.split(" ", 1)[0])


@attack("kernel-settings", "proc(5), /proc/iomem")
def learn_where_memory_lies(bait: "Bait") -> "str | None":
    """Read a physical address from /proc/iomem."""
    del bait
    return _address("/proc/iomem", lambda line: line.split(" : ")[0].split("-")[-1])


@attack(
    "kernel-settings",
    "proc(5), /proc/vmallocinfo: for root alone, since it tells where devices lie",
)
def learn_what_the_kernel_keeps(bait: "Bait") -> "str | None":
    """Read a device's physical address from /proc/vmallocinfo."""
    del bait
    # Its other addresses are hashes for everyone while kptr_restrict is 0.
    with open("/proc/vmallocinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if int(line.partition("phys=")[2].split(" ")[0].strip() or "0", 16):
                return "it says where a device lies"
    return None


def _address(path: str, find: "Callable[[str], str]") -> "str | None":
    with open(path, encoding="ascii", errors="replace") as file:
        for line in islice(file, 64):
            if int(find(line.strip()), 16):
                return "the addresses are true ones"
    return None


@attack(
    "kernel-settings", "M. Seaborn and T. Dullien, 2015: rowhammer, aimed by /proc/self/pagemap"
)
def learn_where_a_page_lies(bait: "Bait") -> "str | None":
    """Read the physical address of a page of one's own."""
    import ctypes  # noqa: PLC0415 - of this alone

    del bait
    page = mmap.mmap(-1, mmap.PAGESIZE)
    page.write(b"x")
    at = ctypes.addressof(ctypes.c_char.from_buffer(page)) // mmap.PAGESIZE
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        file.seek(8 * at)
        (entry,) = struct.unpack("=Q", file.read(8))
    return "it is known" if entry & (1 << 55) - 1 else None


@attack("kernel-settings", "binfmt_misc: the host's programs start an interpreter of ours")
def register_a_file_format(bait: "Bait") -> "str | None":
    """Mount binfmt_misc and write a registration that means nothing."""
    del bait
    with open(f"{_mounted(b'binfmt_misc')}/register", "wb", buffering=0) as file:
        try:
            file.write(b"cloche")
        except OSError as error:
            if error.errno == errno.EINVAL:
                return "the kernel read it"
            raise
    return "it was taken"


@attack("kernel-settings", "debugfs: never meant for anyone but a developer")
def mount_debugfs(bait: "Bait") -> "str | None":
    """Mount the kernel's debugging files."""
    del bait
    _since_mounting_resets_nothing()
    return f"{len(os.listdir(_mounted(b'debugfs')))} of them"


@attack("kernel-settings", "tracefs: hears everything that the kernel does")
def mount_tracefs(bait: "Bait") -> "str | None":
    """Mount the kernel's tracing files."""
    del bait
    _since_mounting_resets_nothing()
    return f"{len(os.listdir(_mounted(b'tracefs')))} of them"


@attack("kernel-settings", "securityfs: the policy of AppArmor and its like")
def mount_securityfs(bait: "Bait") -> "str | None":
    """Mount the files of the security modules."""
    del bait
    return f"{len(os.listdir(_mounted(b'securityfs')))} of them"


@attack("kernel-settings", "Docker's read-only paths: a /proc of one's own has no covers")
def mount_proc_again(bait: "Bait") -> "str | None":
    """Mount another /proc, where what was covered is not."""
    del bait
    return f"{len(os.listdir(_mounted(b'proc')))} entries"


@attack("kernel-settings", "Docker's read-only paths: a /sys of one's own is writable")
def mount_sys_again(bait: "Bait") -> "str | None":
    """Mount another /sys, where what was read-only is not."""
    del bait
    return f"{len(os.listdir(_mounted(b'sysfs')))} entries"


@attack(
    "kernel-settings",
    "CVE-2022-0492: the release agent of control groups runs as root of the machine",
)
def mount_control_groups(bait: "Bait") -> "str | None":
    """Mount the control groups, whose limits are then this program's to set."""
    del bait
    # In the first namespace a mount would set the options that systemd gave all others anew.
    syscall(number(272, 97), 0x0200_0000)
    return f"{len(os.listdir(_mounted(b'cgroup2')))} entries"


def _since_mounting_resets_nothing() -> None:
    """Raise Unable for kernels where another mount sets owner and mode of the first one anew."""
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    if (major, minor) < (6, 1):
        raise Unable("Linux before 6.1 would change who may use the mount that is there")


def _mounted(kind: bytes) -> str:
    """Mount in a namespace that ends with this attack: the directory is gone from everyone's sight."""
    alone_with_mounts()
    place = "/proc" if os.path.isdir("/proc") else "/"
    mount(kind, place.encode(), kind)
    return place
