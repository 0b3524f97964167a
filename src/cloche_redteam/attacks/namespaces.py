"""Attacks on what is seen: new namespaces, those of others, and changes of the file tree."""

import ctypes
import errno
import os
import signal
import struct
from functools import partial

from cloche_redteam.attack import attack
from cloche_redteam.family import member
from cloche_redteam.kernel import answers, built_in
from cloche_redteam.libc import number, syscall

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_VFS = "CVE-2021-41133: calls for mounting that are newer than a filter"
# linux/sched.h; clone and clone3 are of the same advisory as the new calls for mounting
_KINDS = (
    (
        "mount",
        "mnt",
        0x2_0000,
        "Anthropic's srt, README: a new mount namespace undoes read-only binds",
    ),
    ("cgroup", "cgroup", 0x0200_0000, "CVE-2022-0492, the release agent, begins with it"),
    ("uts", "uts", 0x0400_0000, "uts_namespaces(7)"),
    ("ipc", "ipc", 0x0800_0000, "ipc_namespaces(7)"),
    ("user", "user", 0x1000_0000, "CVE-2022-0185, CVE-2023-0386 and many more begin with it"),
    ("process", "pid", 0x2000_0000, "pid_namespaces(7)"),
    (
        "network",
        "net",
        0x4000_0000,
        "CVE-2024-1086, nf_tables reached from a namespace of one's own",
    ),
    ("time", "time", 0x80, "time_namespaces(7)"),
)
_MS_MOVE = 0x2000
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6


def _unshare(flag: int, bait: "Bait") -> "str | None":
    del bait
    syscall(number(272, 97), flag)
    return "made it"


def _clone(flag: int, bait: "Bait") -> "str | None":
    del bait
    pid = syscall(number(56, 220), flag | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a child is in it"


def _join(kind: str, bait: "Bait") -> "str | None":
    opened = os.open(f"/proc/{_host_process(kind, bait)}/ns/{kind}", os.O_RDONLY)
    syscall(number(308, 268), opened, 0)
    return "joined it"


def _host_process(kind: str, bait: "Bait") -> str:
    """Find a process in a namespace of the host: to join what is one's own proves nothing."""
    for pid in (bait["host_pid"], "1", str(os.getppid())):
        try:
            if os.readlink(f"/proc/{pid}/ns/{kind}") in bait["namespaces"].split(","):
                return pid
        except OSError:
            continue
    raise OSError(errno.ESRCH, "no process of the host is to be seen")


def _register() -> None:
    for word, kind, flag, source in _KINDS:
        member(
            "system-calls",
            source,
            partial(_unshare, flag),
            name=f"unshare_the_{word}_namespace",
            title=f"Leave the {word} namespace for a new one.",
        )
        # Clone has no flag for time: its bit is part of the signal's number.
        if kind != "time":
            member(
                "system-calls",
                source,
                partial(_clone, flag),
                name=f"clone_into_a_new_{word}_namespace",
                title=f"Start a child in a new {word} namespace.",
            )
        # The user namespace that one is in is refused to everyone, before any right is looked at.
        # That of time is not in the bait.
        if kind not in ("user", "time"):
            member(
                "system-calls",
                source,
                partial(_join, kind),
                name=f"join_the_{word}_namespace_of_the_host",
                title=f"Join the {word} namespace of a process of the host.",
            )


_register()


@attack("system-calls", "pidfd_open(2) with setns(2), Linux 5.8")
def join_several_namespaces_of_the_host(bait: "Bait") -> "str | None":
    """Join the mount, host name and ipc namespaces of a process of the host at once, by its pidfd."""
    process = syscall(number(434, 434), int(_host_process("mnt", bait)), 0)
    syscall(number(308, 268), process, 0x0C02_0000)
    return "joined them"


@attack("system-calls", "a namespace's descriptor can come over a socket")
def reach_setns(bait: "Bait") -> "str | None":
    """Have the kernel look at the descriptor that setns is given."""
    del bait
    # The descriptor is judged before any right: what is shown is that no filter stands.
    return answers(number(308, 268), -1, 0)


@attack("system-calls", "CVE-2021-41133: clone3, whose flags no filter can read")
def clone3_into_a_new_user_namespace(bait: "Bait") -> "str | None":
    """Start a child in a new user namespace by clone3."""
    del bait
    asked = struct.pack("=8Q", 0x1000_0000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    with built_in():
        pid = syscall(number(435, 435), asked, len(asked))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a child is in it"


@attack("system-calls", "CVE-2021-41133: clone3, whose flags no filter can read")
def reach_clone3(bait: "Bait") -> "str | None":
    """Have the kernel read the arguments of clone3."""
    del bait
    # The size is judged first and asks for no right: what is shown is that no filter stands before it.
    return answers(number(435, 435), 0, 0)


@attack("system-calls", "mount(2), the plainest way to change what is seen")
def mount_something(bait: "Bait") -> "str | None":
    """Mount over the root."""
    del bait
    # path_mount() looks up the target, then asks may_mount(), then wants a type, which is not there.
    return answers(number(165, 40), 0, b"/", 0, 0, 0)


@attack("system-calls", "mount(2): a read-only bind made writable again")
def move_a_mount_the_old_way(bait: "Bait") -> "str | None":
    """Move the root elsewhere by MS_MOVE."""
    del bait
    # do_move_mount_old() refuses an empty old name with EINVAL, after may_mount().
    return answers(number(165, 40), 0, b"/", 0, _MS_MOVE, 0)


@attack("system-calls", "umount2(2): what a mount covers comes to light")
def unmount_something(bait: "Bait") -> "str | None":
    """Unmount, and see what lies below."""
    del bait
    made = f"no-mount-{os.getpid()}"
    os.mkdir(made)
    try:
        # can_umount() asks may_mount() before it sees that nothing is mounted here.
        return answers(number(166, 39), made.encode(), 0)
    finally:
        os.rmdir(made)


@attack("system-calls", "pivot_root(2): the way sandboxes come in is a way out")
def pivot_to_another_root(bait: "Bait") -> "str | None":
    """Change the root of the mount namespace."""
    del bait
    # may_mount() is asked before the names are read, which lead nowhere.
    return answers(number(155, 41), 0, 0)


@attack("system-calls", "chroot(2): who may call it leaves an older one by chdir")
def change_the_root(bait: "Bait") -> "str | None":
    """Change the root directory to the one it is."""
    del bait
    syscall(number(161, 51), b"/")
    return "changed it"


@attack("system-calls", _VFS)
def move_a_mount(bait: "Bait") -> "str | None":
    """Move a mount by move_mount."""
    del bait
    # may_mount() is asked before the flags, which do not exist.
    return answers(number(429, 429), -1, 0, -1, 0, 0xFFFF_FFFF)


@attack("system-calls", _VFS)
def clone_the_file_tree(bait: "Bait") -> "str | None":
    """Take a copy of the whole tree by open_tree."""
    del bait
    with built_in():
        syscall(number(428, 428), _AT_FDCWD, b"/", _OPEN_TREE_CLONE)
    return "have a detached copy"


@attack("system-calls", "CVE-2022-0185: fsconfig")
def make_a_file_system(bait: "Bait") -> "str | None":
    """Make a tmpfs by fsopen, fsconfig and fsmount."""
    del bait
    with built_in():
        context = syscall(number(430, 430), b"tmpfs", 0)
    configure = number(431, 431)
    syscall(configure, context, _FSCONFIG_SET_STRING, b"size", b"4096", 0)
    syscall(configure, context, _FSCONFIG_CMD_CREATE, 0, 0, 0)
    syscall(number(432, 432), context, 0, 0)
    return "have one that is mounted nowhere"


@attack("system-calls", _VFS)
def configure_a_mounted_file_system(bait: "Bait") -> "str | None":
    """Get hold of a file system's settings by fspick."""
    del bait
    # may_mount() is asked before the flags, which do not exist.
    return answers(number(433, 433), _AT_FDCWD, b"/", 0xFFFF_FFFF)


@attack("system-calls", _VFS)
def change_attributes_of_a_mount(bait: "Bait") -> "str | None":
    """Make a read-only mount writable by mount_setattr."""
    del bait
    # Flags and size (32, MOUNT_ATTR_SIZE_VER0) are judged first, then may_mount(), then the pointer.
    return answers(number(442, 442), _AT_FDCWD, b"/", 0, 0, 32)


@attack("system-calls", "shocker.c, S. Krahmer, 2014")
def open_a_file_by_its_handle(bait: "Bait") -> "str | None":
    """Open a file by its number on the disk, past all paths."""
    del bait
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    # struct file_handle, FILEID_INO32_GEN. Well formed, since Linux 6.17 reads it before it judges the
    # right; a number that no file has, so the answer is ESTALE. One on a file system without handles
    # is EOPNOTSUPP.
    handle = struct.pack("=IiII", 8, 1, 0x7FFF_FFF0, 0x7FFF_FFF0)
    return answers(number(304, 265), root, handle, os.O_RDONLY)


@attack("system-calls", "shocker.c, S. Krahmer, 2014: its other half")
def learn_the_handle_of_a_file(bait: "Bait") -> "str | None":
    """Ask for the number of a file on the disk."""
    del bait
    handle, mount = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
    try:
        return answers(number(303, 264), _AT_FDCWD, b".", handle, mount, 0)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return "the kernel asked the file system"
        raise


@attack("system-calls", "fanotify(7)")
def watch_a_whole_file_system(bait: "Bait") -> "str | None":
    """Listen to what everyone does with files."""
    del bait
    with built_in():
        syscall(number(300, 262), 0x4, os.O_RDONLY)  # FAN_CLASS_CONTENT: asks for CAP_SYS_ADMIN
    return "have a listener"
