"""Attacks by system calls: other processes, keys, programs in the kernel, other ABIs."""

import ctypes
import errno
import fcntl
import mmap
import os
import select
import signal
import struct

from cloche_redteam.attack import Unable, attack
from cloche_redteam.kernel import answers, built_in, child, is_filtered, prctl, words
from cloche_redteam.libc import number, syscall

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_RING = "CVE-2023-2598, and srt's README: io_uring does calls that no filter sees"
_PTRACE_TRACEME, _PTRACE_SEIZE = 0, 0x4206
_TIOCSTI, _TIOCSETD = 0x5412, 0x5423


@attack("system-calls", "srt's README: a helper that no filter holds, taken over by ptrace")
def trace_another_process(bait: "Bait") -> "str | None":
    """Take hold of another process as a debugger does."""
    del bait
    with child() as pid:
        syscall(number(101, 117), _PTRACE_SEIZE, pid, 0, 0)
    return "it was ours"


@attack("system-calls", "CVE-2019-13272, PTRACE_TRACEME")
def have_the_parent_trace(bait: "Bait") -> "str | None":
    """Make the parent the tracer of this process."""
    del bait
    syscall(number(101, 117), _PTRACE_TRACEME, 0, 0, 0)
    return "it is traced"


@attack("system-calls", "process_vm_readv(2)")
def read_memory_of_another_process(bait: "Bait") -> "str | None":
    """Read another process's memory by process_vm_readv."""
    return _copied(number(310, 270), bait["secret_text"].encode())


@attack("system-calls", "process_vm_writev(2)")
def write_memory_of_another_process(bait: "Bait") -> "str | None":
    """Write into another process's memory by process_vm_writev."""
    return _copied(number(311, 271), bait["secret_text"].encode())


def _copied(call: int, text: bytes) -> "str | None":
    theirs = ctypes.create_string_buffer(text)
    with child() as pid:  # has a copy at the same address
        ours = ctypes.create_string_buffer(len(text))
        size = len(text)
        local = struct.pack("=QQ", ctypes.addressof(ours), size)
        remote = struct.pack("=QQ", ctypes.addressof(theirs), size)
        return f"{syscall(call, pid, local, 1, remote, 1, 0)} bytes went over"


@attack("system-calls", "pidfd_getfd(2)")
def take_a_descriptor_of_another_process(bait: "Bait") -> "str | None":
    """Take an open file out of another process by pidfd_getfd."""
    del bait
    with child() as pid, built_in():
        taken = syscall(number(438, 438), syscall(number(434, 434), pid, 0), 1, 0)
    return f"have it as {taken}"


@attack("system-calls", "kcmp(2): tells the order of pointers in the kernel")
def compare_kernel_pointers(bait: "Bait") -> "str | None":
    """Compare the kernel's pointers of two processes by kcmp."""
    del bait
    with child() as pid, built_in():
        return f"the order is {syscall(number(312, 272), os.getpid(), pid, 1, 0, 0)}"


@attack(
    "system-calls", "CVE-2016-0728; keyrings know of no container, says Docker's seccomp profile"
)
def find_the_users_keyring(bait: "Bait") -> "str | None":
    """Ask for the user's keyring, which other programs keep secrets in."""
    del bait
    return answers(
        number(250, 219), 0, -4, 0, 0, 0
    )  # KEYCTL_GET_KEYRING_ID, the user's, do not make


@attack("system-calls", "CVE-2017-15299, add_key")
def add_a_key(bait: "Bait") -> "str | None":
    """Put a key into the keyring of this process."""
    del bait
    with built_in():
        made = syscall(
            number(248, 217), b"user", b"cloche-redteam", b"x", 1, -2
        )  # ends with the process
    return f"key {made}"


@attack("system-calls", "CVE-2017-17807, request_key")
def request_a_key(bait: "Bait") -> "str | None":
    """Ask for a key, for which the kernel can start a helper of the host."""
    del bait
    return answers(
        number(249, 218), b"user", b"cloche-redteam-none", 0, 0
    )  # no helper without a callout


@attack("system-calls", "CVE-2020-8835, the verifier")
def make_a_bpf_map(bait: "Bait") -> "str | None":
    """Make a map for programs in the kernel."""
    del bait
    asked = words(2, 4, 8, 1).ljust(72, b"\0")  # BPF_MAP_TYPE_ARRAY of one value
    with built_in():
        syscall(number(321, 280), 0, asked, len(asked))
    return "have a map"


@attack("system-calls", "CVE-2017-16995 and CVE-2021-3490, the verifier")
def load_a_bpf_program(bait: "Bait") -> "str | None":
    """Load a program into the kernel."""
    del bait
    code = ctypes.create_string_buffer(struct.pack("=QQ", 0xB7, 0x95))  # r0 = 0; exit
    licence = ctypes.create_string_buffer(b"GPL")
    asked = struct.pack("=IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(licence))
    with built_in():
        syscall(number(321, 280), 5, asked.ljust(72, b"\0"), 72)
    return "it passed the verifier"


@attack("system-calls", "CVE-2013-2094, perf_event_open")
def count_events_of_this_process(bait: "Bait") -> "str | None":
    """Open a counter of the profiler's for this process."""
    del bait
    with built_in():
        syscall(number(298, 241), _event(9, 0x61), 0, -1, -1, 0)  # a dummy, user space alone
    return "have a counter"


@attack("system-calls", "perf_event_paranoid, the kernel's documentation")
def count_events_of_the_machine(bait: "Bait") -> "str | None":
    """Open a counter of the profiler's for all that one processor does."""
    del bait
    with built_in():
        syscall(number(298, 241), _event(0, 0x1), -1, 0, -1, 0)
    return "have a counter"


def _event(config: int, flags: int) -> bytes:
    # struct perf_event_attr, PERF_ATTR_SIZE_VER0; never enabled
    return struct.pack("=IIQQQQQ", 1, 64, config, 0, 0, 0, flags).ljust(64, b"\0")


@attack(
    "system-calls",
    "V. Nikolenko, 2018: userfaultfd with setxattr makes races in the kernel winnable",
)
def handle_page_faults(bait: "Bait") -> "str | None":
    """Hold up the kernel at will by userfaultfd."""
    del bait
    with built_in():
        syscall(number(323, 282), 1)  # UFFD_USER_MODE_ONLY: all that most machines give
    return "have a handler"


@attack("system-calls", _RING)
def set_up_a_ring(bait: "Bait") -> "str | None":
    """Set up an io_uring."""
    del bait
    with built_in():
        syscall(number(425, 425), 1, ctypes.create_string_buffer(120))
    return "have a ring"


@attack("system-calls", "IORING_OP_SOCKET, Linux 5.19: a socket that no filter was asked for")
def make_a_socket_by_a_ring(bait: "Bait") -> "str | None":
    """Make a socket without the call socket."""
    del bait
    settings = ctypes.create_string_buffer(120)
    with built_in():
        ring = syscall(number(425, 425), 1, settings)
    offsets = struct.unpack_from("=20I", settings, 40)
    tail, array, head_of_answers, answers_at = offsets[1], offsets[6], offsets[10], offsets[15]
    queue, entries = mmap.mmap(ring, 4096), mmap.mmap(ring, 4096, offset=0x1000_0000)
    entries[:64] = struct.pack("=BBHiQQI", 45, 0, 0, 2, 1, 0, 0).ljust(
        64, b"\0"
    )  # AF_INET, a stream
    struct.pack_into("=I", queue, array, 0)
    struct.pack_into("=I", queue, tail, 1)
    syscall(number(426, 426), ring, 1, 1, 1, 0, 0)  # IORING_ENTER_GETEVENTS
    (at,) = struct.unpack_from("=I", queue, head_of_answers)
    result: int = struct.unpack_from("=i", queue, answers_at + 16 * at + 8)[0]
    if result == -errno.EINVAL:
        raise Unable("this kernel's rings know no sockets")
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return f"have it as {result}"


@attack("system-calls", "a ring need not be set up where its descriptor can be sent over a socket")
def enter_a_ring(bait: "Bait") -> "str | None":
    """Reach io_uring_enter without io_uring_setup."""
    del bait
    return answers(number(426, 426), -1, 0, 0, 0, 0, 0)


@attack("system-calls", "CVE-2021-41073, buffers given to a ring")
def register_with_a_ring(bait: "Bait") -> "str | None":
    """Reach io_uring_register without io_uring_setup."""
    del bait
    return answers(number(427, 427), -1, 0, 0, 0)


@attack("system-calls", "memfd_secret(2): memory that no one can look into")
def hide_memory(bait: "Bait") -> "str | None":
    """Have memory that the kernel itself does not see."""
    del bait
    with built_in():
        syscall(number(447, 447), 0)
    return "have some"


@attack("system-calls", "CVE-2017-17053, modify_ldt")
def reach_the_descriptor_table(bait: "Bait") -> "str | None":
    """Use the processor's local descriptor table."""
    del bait
    with built_in():
        syscall(number(154, -1), 0, ctypes.create_string_buffer(64), 64)  # reads
    return "read it"


@attack("system-calls", "systemd's LockPersonality=: all that is readable becomes executable")
def make_memory_executable(bait: "Bait") -> "str | None":
    """Ask for the personality READ_IMPLIES_EXEC."""
    del bait
    return _became(0x0040_0000)


@attack("system-calls", "CVE-2009-1895: a page at address zero")
def map_the_page_at_zero(bait: "Bait") -> "str | None":
    """Ask for the personality MMAP_PAGE_ZERO."""
    del bait
    return _became(0x0010_0000)


@attack("system-calls", "CVE-2012-0957: UNAME26 leaked the kernel's memory")
def pretend_an_old_kernel(bait: "Bait") -> "str | None":
    """Ask for the personality UNAME26."""
    del bait
    return _became(0x0002_0000)


def _became(personality: int) -> "str | None":
    call = number(135, 92)
    syscall(call, personality)
    return "it is this process's" if syscall(call, 0xFFFF_FFFF) & personality else None


@attack("system-calls", "CVE-2009-0835: the same number is another call to 32-bit programs")
def call_as_a_32_bit_program(bait: "Bait") -> "str | None":
    """Make a call by int 0x80, which a filter may take for another."""
    del bait
    number(0, -1)  # an instruction of x86_64
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\0\0\0\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
    act = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    pid = os.fork()
    if pid == 0:
        os._exit(17 if act() == os.getpid() else 0)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if ended == -signal.SIGSEGV and not is_filtered():
        raise Unable("this kernel runs no 32-bit programs")
    if ended < 0:
        raise OSError(errno.EPERM, f"killed by {signal.Signals(-ended).name}")
    return "it was made" if ended == 17 else None


@attack("system-calls", "CVE-2014-0038, and seccomp(2) on the bit of x32")
def call_as_an_x32_program(bait: "Bait") -> "str | None":
    """Make a call with the bit of x32, which a filter may take for an unknown one."""
    del bait
    with built_in():
        return f"process {syscall(number(0x4000_0000 | 39, -1))} says it"


@attack("system-calls", "CVE-2019-10063: a filter compared 64 bits, the kernel takes 32")
def type_with_high_bits_set(bait: "Bait") -> "str | None":
    """Type into a terminal by TIOCSTI with bits set that the kernel does not look at."""
    del bait
    with _terminal() as (ours, theirs):
        syscall(number(16, 29), theirs, _TIOCSTI | 1 << 32, b"\n")
        typed = select.select([theirs], [], [], 1)[0] or select.select([ours], [], [], 0)[0]
        return "it was typed" if typed else None


@attack("system-calls", "CVE-2017-2636, n_hdlc: a line discipline is loaded for whoever asks")
def set_a_line_discipline(bait: "Bait") -> "str | None":
    """Set the line discipline of a terminal, to what it is."""
    del bait
    with _terminal() as (_, theirs):
        syscall(number(16, 29), theirs, _TIOCSETD, words(0))
        return "it was set"


class _terminal:  # noqa: N801 - used as a function
    """A terminal of one's own, the controlling one of this process."""

    def __enter__(self) -> "tuple[int, int]":
        self._pair = os.openpty()
        os.setsid()
        fcntl.ioctl(self._pair[1], 0x540E, 0)  # TIOCSCTTY
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self._pair

    def __exit__(self, *_: object) -> None:
        for descriptor in self._pair:
            os.close(descriptor)


@attack("system-calls", "seccomp_unotify(2): who listens answers for the kernel")
def listen_to_system_calls(bait: "Bait") -> "str | None":
    """Install a filter that asks a listener of one's own."""
    del bait
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS, else a right is asked for
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF_0000))  # allow all
    program = struct.pack("=HxxxxxxQ", 1, ctypes.addressof(code))
    syscall(number(317, 277), 1, 1 << 3, program)
    return "have a listener"


@attack("system-calls", "Documentation/admin-guide/syscall-user-dispatch: it comes before seccomp")
def dispatch_own_system_calls(bait: "Bait") -> "str | None":
    """Turn the dispatch of system calls to user space off, as it is."""
    del bait
    return answers(number(157, 167), 59, 0, 0, 0, 0)


@attack("system-calls", "prctl(2), PR_SET_MM: to be taken for another program")
def change_what_this_program_is(bait: "Bait") -> "str | None":
    """Reach the calls that change /proc/self/exe and the arguments that others see."""
    del bait
    return answers(
        number(157, 167), 35, 15, ctypes.create_string_buffer(8), 0, 0
    )  # asks for a size


@attack("system-calls", "CVE-2018-3639, speculative store bypass")
def turn_a_mitigation_off(bait: "Bait") -> "str | None":
    """Ask for the speculation that a filter turned off."""
    del bait
    return answers(number(157, 167), 53, 0, 2, 0, 0)
