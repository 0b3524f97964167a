"""What the process that becomes the program tries to do first: each deed must fail, or nothing is started.

A barrier that is read back stands; a deed that was tried and failed shows that
it holds. None of these leaves anything behind, also where it succeeds: files
are opened and not written, and calls get arguments that the kernel refuses
once it looks at them. The packets of the first three meet our own rules, and
the host takes hearing of them as proof that it hears of every refusal.
"""

import ctypes
import errno
import os
import resource
import select
import socket

from cloche_launch import abi, calls, landlock
from cloche_launch.network import OWN_ADDRESS
from cloche_launch.numbers import TABLES

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable

HELD, NOT_HELD, UNABLE = "held", "not held", "unable"

# Addresses that lead nowhere on any network (RFC 5737, RFC 3849), and the port of discard (RFC 863).
ADDRESS, ADDRESS_IPV6, PORT = "192.0.2.1", "2001:db8::1", 9
REFUSED_HERE = "refused in its own namespace"
_PATIENCE_MS = 2_000  # an answer on a loopback is there at once; only a way out takes time
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_NUMBERS = TABLES[calls.MACHINE]
_TIOCSTI = 0x5412  # asm-generic/ioctls.h
_AF_VSOCK, _AF_PACKET = 40, 17  # linux/socket.h
# What seccomp answers: EPERM, or ENOSYS for what libraries know how to do without.
_FILTERED = (errno.EPERM, errno.ENOSYS)


class NotHeld(Exception):
    """The deed could be done; the text says how far."""


class Unable(Exception):
    """The deed says nothing here; the text says why."""


class Outside:
    """What a process inside is told, so that it can try to reach the outside."""

    __slots__ = ("canary", "pid", "report", "root")

    def __init__(self, root: int, report: int, canary: str = "", pid: int = 0) -> None:
        self.root = root  # descriptor of the top of what is, or becomes, the root
        self.report = report  # the one descriptor beside the streams that may be open at last
        self.canary = canary  # path of a file of the host's, "" for none
        self.pid = pid  # a process of the host's, as the host counts


def connect_out(_: Outside) -> str:
    """Open a TCP connection to elsewhere."""
    return _connect(socket.AF_INET, ADDRESS)


def connect_out_ipv6(_: Outside) -> str:
    """Open a TCP connection to elsewhere by IPv6."""
    return _connect(socket.AF_INET6, ADDRESS_IPV6)


def _connect(family: int, address: str) -> str:
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as attempt:
        code = attempt.connect_ex((address, PORT))
        source = attempt.getsockname()[0]
        if code == errno.EINPROGRESS:
            code = _answer(attempt, select.POLLOUT)
    return _judge(code, source)


def send_out(_: Outside) -> str:
    """Send a datagram to elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as attempt:
        code = attempt.connect_ex((ADDRESS, PORT))
        if code:
            return _judge(code, "")
        source = attempt.getsockname()[0]
        attempt.send(b"")
        return _judge(_answer(attempt, select.POLLIN), source)


def _answer(attempt: socket.socket, condition: int) -> int:
    poll = select.poll()
    poll.register(attempt.fileno(), condition)
    if not poll.poll(_PATIENCE_MS):
        return errno.ETIMEDOUT
    return attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _judge(code: int, source: str) -> str:
    if code in _NO_WAY:
        return _name(code)
    # A firewall far away refuses as our rules do; but a packet to it has another source.
    if code == errno.ECONNREFUSED and source in (OWN_ADDRESS, "::1"):
        return REFUSED_HERE
    raise NotHeld(f"a packet left from {source} ({_name(code) if code else 'connected'})")


def read_canary(outside: Outside) -> str:
    """Read a file that the host has made for this trial."""
    if not outside.canary:
        raise Unable("no file was made outside")
    try:
        descriptor = os.open(outside.canary, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError) as error:
        return _name(error.errno)
    except OSError as error:
        # Refused is not the same as absent: some directory of the host's is shown.
        raise NotHeld(f"{outside.canary} is there ({_name(error.errno)})") from error
    content = os.read(descriptor, 40).decode("ascii", "backslashreplace")
    os.close(descriptor)
    raise NotHeld(f"{outside.canary} says {content!r}")


def write_system(_: Outside) -> str:
    """Make a file, one without a name, where the system lies."""
    return _open(("/", "/usr", "/etc"), os.O_WRONLY | os.O_TMPFILE)


def write_sysctl(outside: Outside) -> str:
    """Open a setting of the whole machine for writing."""
    paths = ("proc/sys/kernel/core_pattern", "proc/sysrq-trigger")
    return _open(paths, os.O_WRONLY, outside.root)


def open_devices(outside: Outside) -> str:
    """Open the machine's memory and the kernel's log."""
    return _open(("dev/mem", "dev/kmsg"), os.O_RDONLY, outside.root)


def open_terminal(outside: Outside) -> str:
    """Open the terminal of the session."""
    return _open(("dev/tty",), os.O_RDWR | os.O_NOCTTY, outside.root)


def read_init(outside: Outside) -> str:
    """Read the environment of the first process."""
    return _open(("proc/1/environ",), os.O_RDONLY, outside.root)


def _open(paths: tuple[str, ...], flags: int, root: "int | None" = None) -> str:
    """Give why each of `paths` cannot be opened."""
    reasons: dict[str, None] = {}
    for path in paths:
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600, dir_fd=root)
        except OSError as error:
            reasons[_name(error.errno)] = None
            continue
        os.close(descriptor)
        raise NotHeld(f"{path} could be opened")
    return " ".join(reasons)


def see_processes(outside: Outside) -> str:
    """Look for processes other than this one and its init."""
    proc = os.open("proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=outside.root)
    seen = {int(name) for name in os.listdir(proc) if name.isdecimal()}
    os.close(proc)
    others = seen - {1, os.getpid()}
    if others or not seen:
        raise NotHeld(f"{len(others)} other processes are seen")
    return "only its own"


def signal_outside(outside: Outside) -> str:
    """Ask whether a process of the host's can be signalled; signal 0 does nothing. kill(2)."""
    if outside.pid <= 2:
        raise Unable("that number is one of the sandbox's own")
    return _signal(outside.pid, errno.ESRCH)


def signal_init(_: Outside) -> str:
    """Ask whether the first process, outside of this one's Landlock domain, can be signalled."""
    if landlock.abi() < 6:
        raise Unable("the kernel's Landlock judges no signals (ABI 6, Linux 6.12)")
    return _signal(1, errno.EPERM)


def _signal(pid: int, refusal: int) -> str:
    try:
        os.kill(pid, 0)
    except OSError as error:
        if error.errno == refusal:
            return _name(error.errno)
        raise NotHeld(f"the process is there ({_name(error.errno)})") from error
    raise NotHeld("the process could be signalled")


def become_root(_: Outside) -> str:
    """Become user 0."""
    try:
        os.setuid(0)
    except OSError as error:
        return _name(error.errno)
    raise NotHeld("setuid(0) was allowed")


def raise_limit(_: Outside) -> str:
    """Raise a hard limit by one. getrlimit(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        raise NotHeld("RLIMIT_NOFILE has no ceiling")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard + 1))
    except (OSError, ValueError) as error:  # the module words EPERM as a ValueError
        return _name(getattr(error, "errno", None) or errno.EPERM)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    raise NotHeld(f"RLIMIT_NOFILE could be raised above {hard}")


def make_namespaces(_: Outside) -> str:
    """Make a user namespace of its own; 1 is no flag, so that the kernel itself would say EINVAL."""
    return _call("unshare", abi.CLONE_NEWUSER | 1)


def mount(_: Outside) -> str:
    """Change a mount; one that is both private and shared there is none."""
    flags = ctypes.c_ulong(abi.MS_PRIVATE | abi.MS_SHARED)
    return _call("mount", None, b"/", None, flags, None)


def trace(_: Outside) -> str:
    """Look into another process, one that does not exist (PTRACE_PEEKDATA)."""
    return _call("ptrace", 2, 0x7FFF_FFFF, None, None)


def add_key(_: Outside) -> str:
    """Add a key without a type to a keyring."""
    return _call("add_key", None, None, None, 0, 0)


def load_bpf(_: Outside) -> str:
    """Give the kernel a command for its programs, one of no size."""
    return _call("bpf", 5, None, 0)


def make_ring(_: Outside) -> str:
    """Make a ring that does system calls no filter sees, of no entries."""
    return _call("io_uring_setup", 0, None)


def type_into_terminal(_: Outside) -> str:
    """Type into whatever standard input is (TIOCSTI), from nowhere."""
    return _call("ioctl", 0, _TIOCSTI, None)


def open_vsock(_: Outside) -> str:
    """Make a socket to the hypervisor."""
    return _socket(_AF_VSOCK, socket.SOCK_STREAM)


def open_packet_socket(_: Outside) -> str:
    """Make a socket that reads the wire."""
    return _socket(_AF_PACKET, socket.SOCK_RAW)


def _call(name: str, *arguments: object) -> str:
    try:
        calls.syscall(_NUMBERS[name], *arguments)
    except OSError as error:
        if error.errno in _FILTERED:
            return _name(error.errno)
        raise NotHeld(f"the kernel itself judged it ({_name(error.errno)})") from error
    raise NotHeld("it was allowed")


def _socket(family: int, kind: int) -> str:
    try:
        made = socket.socket(family, kind)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            raise Unable("this kernel has no such sockets") from error
        return _name(error.errno)
    made.close()
    raise NotHeld("the socket was made")


def find_descriptors(outside: Outside) -> str:
    """Look for open descriptors beside the three streams."""
    extra = []
    for number in map(int, os.listdir("/proc/self/fd")):
        if number not in (0, 1, 2, outside.report):
            try:
                os.fstat(number)
            except OSError:
                continue  # it was the listing's own
            extra.append(number)
    if extra:
        raise NotHeld(f"open: {', '.join(map(str, sorted(extra)))}")
    return "three streams"


_GROUND = {
    "see-processes": ("pid-namespace", see_processes),
    "write-sysctl": ("mount-namespace", write_sysctl),
    "open-devices": ("mount-namespace", open_devices),
    "open-terminal": ("new-session", open_terminal),
    "read-init": ("empty-environment", read_init),
    "connect-out": ("network-namespace", connect_out),
    "connect-out-ipv6": ("network-namespace", connect_out_ipv6),
    "send-out": ("network-namespace", send_out),
    "become-root": ("no-capabilities", become_root),
    "make-namespaces": ("seccomp", make_namespaces),
    "mount": ("seccomp", mount),
    "trace": ("seccomp", trace),
    "add-key": ("seccomp", add_key),
    "load-bpf": ("seccomp", load_bpf),
    "make-ring": ("seccomp", make_ring),
    "type-into-terminal": ("seccomp", type_into_terminal),
    "open-vsock": ("seccomp", open_vsock),
    "open-packet-socket": ("seccomp", open_packet_socket),
}
_ROOTED = {
    "signal-outside": ("pid-namespace", signal_outside),
    "signal-init": ("landlock", signal_init),
    "raise-limit": ("resource-limits", raise_limit),
}
_LAST = {
    "read-canary": ("mount-namespace", read_canary),
    "write-system": ("mount-namespace", write_system),
    "find-descriptors": ("closed-descriptors", find_descriptors),
}
STAGES: "dict[str, dict[str, tuple[str, Callable[[Outside], str]]]]" = {
    "ground": _GROUND,
    "rooted": _ROOTED,
    "last": _LAST,
}
"""When a barrier stands for good, its trials: names, and (the barrier, the deed). In time made ahead, while
init completes the root, and when there is nothing left but the exec."""

BARRIERS = {name: barrier for stage in STAGES.values() for name, (barrier, _) in stage.items()}
"""Name of each trial: the barrier it tries."""


def try_stage(stage: str, outside: Outside) -> list[list[str]]:
    """Do every deed of a stage; give [name, verdict, detail] of each. Never raises."""
    return [[name, *_try(deed, outside)] for name, (_, deed) in STAGES[stage].items()]


def _try(deed: "Callable[[Outside], str]", outside: Outside) -> tuple[str, str]:
    try:
        return HELD, deed(outside)
    except NotHeld as finding:
        return NOT_HELD, str(finding)
    except Unable as why:
        return UNABLE, str(why)
    except Exception as error:  # noqa: BLE001 - a fault of a trial must not stand between barriers and program
        return UNABLE, f"{type(error).__name__}: {error}"


def _name(code: "int | None") -> str:
    return errno.errorcode.get(code or 0, str(code))
