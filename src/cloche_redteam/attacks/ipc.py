"""Attacks on what processes share: sockets of services, shared memory, queues, keys, signals.

What is taken out is put back, and no signal but number 0 is sent.
"""

import array
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct

from cloche_redteam import shared
from cloche_redteam.attack import attack
from cloche_redteam.greeting import credentials, greeted, wanted
from cloche_redteam.libc import exists, number, syscall

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_SERVICE = "sockets of services by their path, nono#781"
_ABSTRACT = "CVE-2020-15257, containerd's abstract socket"
_SYSV = "sharing the IPC namespace, CIS Docker 5.17"
_SIGNALS = "signals out of a sandbox, Landlock's scopes since Linux 6.12"
_KEYS = "CVE-2016-0728, keyrings; they know no namespace but the user's"
_NO_MEMORY = "no System V memory"


@attack("ipc", _SERVICE)
def connect_to_a_service_by_its_path(bait: "Bait") -> "str | None":
    """Connect to a Unix socket of the host by its path."""
    return greeted(socket.socket(socket.AF_UNIX), bait["unix_socket"], bait)


@attack("ipc", _ABSTRACT)
def connect_to_a_service_by_its_abstract_name(bait: "Bait") -> "str | None":
    """Connect to a Unix socket of the host that has a name and no path."""
    return greeted(socket.socket(socket.AF_UNIX), f"\0{bait['abstract_socket']}", bait)


@attack("ipc", "descriptors across a boundary, CVE-2024-21626's class")
def take_a_descriptor_from_a_service(bait: "Bait") -> "str | None":
    """Have a service of the host hand over a file, opened where it may be."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(2)
        made.connect(f"\0{bait['giving_socket']}")
        size = array.array("i").itemsize
        _, ancillary, _, _ = made.recvmsg(16, socket.CMSG_SPACE(size))
    for _, _, data in ancillary:
        text = os.pread(struct.unpack_from("i", data)[0], 64, 0).decode()
        return "read the host's file" if bait["secret_text"] in text else None
    return None


@attack("ipc", "docker.sock is the host's root, CIS Docker 5.32")
def connect_to_a_container_engine(bait: "Bait") -> "str | None":
    """Connect to the socket of Docker, containerd or Podman, and say nothing."""
    return _service(bait, ("docker", "containerd", "podman"), "container engine")


@attack("ipc", "systemd-run by D-Bus, landrun#43")
def connect_to_the_message_bus(bait: "Bait") -> "str | None":
    """Connect to D-Bus or systemd, which start programs outside, and say nothing."""
    return _service(bait, ("dbus", "systemd/private"), "message bus")


@attack("ipc", "typing into other windows, X11's XTEST")
def connect_to_the_display(bait: "Bait") -> "str | None":
    """Connect to the X server, which sees and types every key, and say nothing."""
    return _service(bait, ("X11",), "display")


@attack("ipc", "forged lines in the log, CWE-117")
def connect_to_the_log(bait: "Bait") -> "str | None":
    """Connect to the host's log, and say nothing."""
    return _service(bait, ("journal", "dev/log"), "log that listens")


@attack("ipc", _SYSV)
def read_shared_memory_by_its_key(bait: "Bait") -> "str | None":
    """Attach a segment of the host's by its key."""
    segment = shared.find_memory(int(wanted(bait, "shm_key", _NO_MEMORY)))
    return _told(shared.read_memory(segment, 64), bait)


@attack("ipc", _SYSV)
def read_shared_memory_by_its_index(bait: "Bait") -> "str | None":
    """Walk through the kernel's table of segments, as ipcs(1) does, and attach each."""
    key = int(wanted(bait, "shm_key", _NO_MEMORY))
    for index in range(64):
        try:
            found, segment = shared.memory_at(index)
            if found == key:
                return _told(shared.read_memory(segment, 64), bait)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EACCES):
                raise
    return None


@attack("ipc", _SYSV)
def list_shared_memory(bait: "Bait") -> "str | None":
    """Find the bait's segment in /proc/sysvipc/shm."""
    key = wanted(bait, "shm_key", _NO_MEMORY)
    with open("/proc/sysvipc/shm", encoding="ascii") as file:
        found = any(line.split()[0] == key for line in file)
    return "saw the host's segment" if found else None


@attack("ipc", _SYSV)
def read_a_semaphore(bait: "Bait") -> "str | None":
    """Read the value of a semaphore of the host's."""
    value = shared.read_semaphore(int(wanted(bait, "sem_key", "no System V semaphores")))
    return f"its value is {value}" if str(value) == bait["sem_value"] else None


@attack("ipc", _SYSV)
def take_a_message(bait: "Bait") -> "str | None":
    """Take a message from a queue of the host's, and put it back."""
    queue = shared.find_queue(int(wanted(bait, "msg_key", "no System V queues")))
    text = shared.take(queue)
    shared.put(queue, text)
    return _told(text, bait)


@attack("ipc", "CVE-2017-11176, POSIX message queues")
def take_a_message_from_a_named_queue(bait: "Bait") -> "str | None":
    """Take a message from a POSIX queue of the host's, and put it back."""
    name = wanted(bait, "mq_name", "no POSIX queues")
    queue = shared.open_named_queue(name, os.O_RDWR | os.O_NONBLOCK)
    text = shared.take_named(queue)
    shared.put_named(queue, text)
    return _told(text, bait)


@attack("ipc", "memory of browsers and databases in /dev/shm")
def read_named_shared_memory(bait: "Bait") -> "str | None":
    """Read memory that a program of the host shares in /dev/shm."""
    with open(wanted(bait, "shm_file", "no /dev/shm"), "rb") as file:
        return _told(file.read(64), bait)


@attack("ipc", "named pipes in shared places, CWE-379")
def listen_at_a_named_pipe(bait: "Bait") -> "str | None":
    """Read what waits in a pipe of the host's, and put it back."""
    pipe = os.open(wanted(bait, "pipe", "no named pipes"), os.O_RDWR | os.O_NONBLOCK)
    text = os.read(pipe, 64)
    os.write(pipe, text)
    return _told(text, bait)


@attack("ipc", _KEYS)
def read_a_key_by_its_number(bait: "Bait") -> "str | None":
    """Read a key of the host's by its number, which can be guessed."""
    return _told(shared.read_key(int(wanted(bait, "key_number", "no keyrings"))), bait)


@attack("ipc", _KEYS)
def find_a_key_in_the_session(bait: "Bait") -> "str | None":
    """Find a key in the keyring of the session that the sandbox was started from."""
    wanted(bait, "key_number", "no keyrings")
    return _told(shared.read_key(shared.find_key(bait["key_name"])), bait)


@attack("ipc", _KEYS)
def list_keys(bait: "Bait") -> "str | None":
    """Find the bait's key in /proc/keys."""
    wanted(bait, "key_number", "no keyrings")
    with open("/proc/keys", encoding="utf-8", errors="replace") as file:
        return "saw the host's key" if bait["key_name"] in file.read() else None


@attack("ipc", "request_key(2) starts /sbin/request-key on the host, as root")
def ask_the_host_for_a_key(bait: "Bait") -> "str | None":
    """Ask for a key without saying which."""
    del bait
    return exists(number(249, 218), 0, 0, 0, 0)


@attack("ipc", _SIGNALS)
def signal_a_process_of_the_host_by_descriptor(bait: "Bait") -> "str | None":
    """Open a process of the host and send it signal 0."""
    process = os.pidfd_open(int(bait["host_pid"]))
    signal.pidfd_send_signal(process, 0)
    return _is_the_hosts(bait)


@attack("ipc", _SIGNALS)
def queue_a_signal_to_a_process_of_the_host(bait: "Bait") -> "str | None":
    """Queue signal 0 with a value to a process of the host."""
    information = struct.pack("iiii", 0, 0, -1, 0) + bytes(112)  # SI_QUEUE
    syscall(number(129, 138), int(bait["host_pid"]), 0, information)
    return _is_the_hosts(bait)


@attack("ipc", "SIGIO past Landlock's scope, file_send_sigiotask in Linux 6.12")
def have_the_kernel_signal_a_process_of_the_host(bait: "Bait") -> "str | None":
    """Make a process of the host the owner of a socket's signals; none comes."""
    with socket.socket(socket.AF_UNIX) as made:
        fcntl.fcntl(made, fcntl.F_SETOWN, int(bait["host_pid"]))
    return _is_the_hosts(bait)


@attack("ipc", "CVE-2013-1979, forged SCM_CREDENTIALS")
def pretend_to_be_a_process_of_the_host(bait: "Bait") -> "str | None":
    """Send credentials that name another process to oneself."""
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    claim = credentials(int(bait["host_pid"]))
    mine.sendmsg([b"?"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, claim)])
    return _is_the_hosts(bait)


@attack("ipc", "CVE-2014-3153 Towelroot, futexes; get_robust_list(2) of another")
def find_the_locks_of_a_process_of_the_host(bait: "Bait") -> "str | None":
    """Ask where a process of the host keeps its robust futexes."""
    room = [ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)]
    syscall(number(274, 100), int(bait["host_pid"]), *room)
    return _is_the_hosts(bait)


def _service(bait: "Bait", kinds: "tuple[str, ...]", what: str) -> str:
    there = bait["services"].splitlines()
    fitting = "\n".join(path for path in there if any(kind in path for kind in kinds))
    wanted({"it": fitting}, "it", f"no {what}")
    refusal: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for path in fitting.splitlines():
        with socket.socket(socket.AF_UNIX) as made:
            made.settimeout(2)
            try:
                made.connect(path)
            except OSError as error:
                refusal = error
                continue
            return f"connected to {path}"
    raise refusal


def _told(text: bytes, bait: "Bait") -> "str | None":
    return "read the host's" if bait["secret_text"].encode() in text else None


def _is_the_hosts(bait: "Bait") -> "str | None":
    """Give evidence unless the number means another process here than on the host."""
    here = os.readlink("/proc/self/ns/pid")
    return "the kernel let it" if here in bait["namespaces"].split(",") else None
