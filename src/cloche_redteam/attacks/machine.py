"""Attacks by system calls that are about the whole machine: its kernel, its clock, its hardware."""

import ctypes

from cloche_redteam.attack import attack
from cloche_redteam.kernel import answers, built_in
from cloche_redteam.libc import number, syscall

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait


@attack("system-calls", "capabilities(7), CAP_SYS_BOOT; kernel_lockdown(7)")
def load_another_kernel(bait: "Bait") -> "str | None":
    """Load a kernel by kexec_load."""
    del bait
    # kexec_load_check() asks for the right, then judges the flags, and then 17 segments are too many.
    return answers(number(246, 104), 0, 17, 0, 0)


@attack("system-calls", "capabilities(7), CAP_SYS_BOOT; kernel_lockdown(7)")
def load_another_kernel_from_a_file(bait: "Bait") -> "str | None":
    """Load a kernel by kexec_file_load."""
    del bait
    return answers(
        number(320, 294), -1, -1, 0, 0, -1
    )  # the right first, then flags that do not exist


@attack("system-calls", "capabilities(7), CAP_SYS_MODULE")
def load_a_module(bait: "Bait") -> "str | None":
    """Load code into the kernel by init_module."""
    del bait
    return answers(
        number(175, 105), 0, 0, 0
    )  # may_init_module() first; then no bytes are no module


@attack("system-calls", "capabilities(7), CAP_SYS_MODULE")
def load_a_module_from_a_file(bait: "Bait") -> "str | None":
    """Load code into the kernel by finit_module."""
    del bait
    return answers(number(313, 273), -1, 0, 0xFFFF)  # may_init_module() first, then flags


@attack("system-calls", "capabilities(7), CAP_SYS_MODULE")
def unload_a_module(bait: "Bait") -> "str | None":
    """Take code out of the kernel by delete_module."""
    del bait
    return answers(number(176, 106), 0, 0)  # the right first, then a name that leads nowhere


@attack("system-calls", "swapon(2): pages of everyone's memory go to a file of ours")
def add_swap(bait: "Bait") -> "str | None":
    """Have the kernel swap to a file."""
    del bait
    return answers(number(167, 224), 0, 0)  # flags, then the right, then a name that leads nowhere


@attack("system-calls", "swapoff(2)")
def remove_swap(bait: "Bait") -> "str | None":
    """Have the kernel stop swapping to a file."""
    del bait
    return answers(number(168, 225), 0)  # the right first, then a name that leads nowhere


@attack("system-calls", "quotactl(2)")
def reach_the_quotas(bait: "Bait") -> "str | None":
    """Have the kernel look at a device's quotas."""
    del bait
    # Q_GETINFO without a device: ENODEV before any right, so what is shown is that no filter stands.
    return answers(number(179, 60), 0x8000_0500, 0, 0, 0)


@attack("system-calls", "acct(2): a file grows by what everyone runs")
def account_for_processes(bait: "Bait") -> "str | None":
    """Have the kernel write down who runs what."""
    del bait
    return answers(
        number(163, 89), b"/nonexistent/cloche-redteam"
    )  # the right first, then the name


@attack("system-calls", "dmesg_restrict, the kernel's documentation: its log holds addresses")
def read_the_kernels_log(bait: "Bait") -> "str | None":
    """Read the kernel's log by syslog."""
    del bait
    with built_in():
        read = syscall(
            number(103, 116), 3, ctypes.create_string_buffer(512), 512
        )  # reads, clears nothing
    return f"{read} bytes of it"


@attack("system-calls", "capabilities(7), CAP_SYS_RAWIO")
def open_all_hardware_ports(bait: "Bait") -> "str | None":
    """Get at the hardware's ports by iopl."""
    del bait
    with built_in():
        syscall(number(172, -1), 3)  # for this process; none is used
    return "they are open"


@attack("system-calls", "capabilities(7), CAP_SYS_RAWIO")
def open_a_hardware_port(bait: "Bait") -> "str | None":
    """Get at one port of the hardware by ioperm."""
    del bait
    with built_in():
        syscall(number(173, -1), 0x80, 1, 1)  # for this process; it is not used
    return "it is open"


@attack("system-calls", "settimeofday(2)")
def set_the_clock(bait: "Bait") -> "str | None":
    """Set nothing of the clock, by settimeofday."""
    del bait
    # security_settime64() is asked, and with neither time nor zone nothing else is done.
    return answers(number(164, 170), 0, 0)


@attack("system-calls", "adjtimex(2)")
def bend_the_clock(bait: "Bait") -> "str | None":
    """Change the clock's pace by adjtimex, to one that it cannot have."""
    del bait
    # ADJ_TICK: ntp_validate_timex() asks for the right, then finds a tick of 0 out of range.
    return answers(number(159, 171), _impossible_tick())


@attack("system-calls", "clock_adjtime(2)")
def bend_one_clock(bait: "Bait") -> "str | None":
    """Change the clock's pace by clock_adjtime, to one that it cannot have."""
    del bait
    return answers(number(305, 266), 0, _impossible_tick())


def _impossible_tick() -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(b"\0\x40\0\0", 208)  # struct timex


@attack("system-calls", "reboot(2)")
def reboot_with_a_wrong_magic(bait: "Bait") -> "str | None":
    """Reach reboot, with numbers that make it do nothing."""
    del bait
    return answers(number(169, 142), 0, 0, 0, 0)  # the right is judged before the magic numbers


@attack("system-calls", "sethostname(2)")
def name_the_machine(bait: "Bait") -> "str | None":
    """Name the machine, with a name too long for any."""
    del bait
    return answers(number(170, 161), 0, -1)  # the right is judged before the length


@attack("system-calls", "setdomainname(2)")
def name_the_domain(bait: "Bait") -> "str | None":
    """Name the machine's domain, with a name too long for any."""
    del bait
    return answers(number(171, 162), 0, -1)  # the right is judged before the length
