"""Attacks on what a program may: other identities, capabilities, rank before others."""

import ctypes
import errno
import os
import signal
import stat
import struct
import time
from contextlib import contextmanager

from cloche_redteam.attack import Unable, attack
from cloche_redteam.kernel import (
    answers,
    capabilities,
    child,
    is_root_of_the_machine,
    keeps_from_root,
    output,
    prctl,
)
from cloche_redteam.libc import number, syscall

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche_redteam.attack import Bait

_NOBODY = 65534
_CAP_CHOWN, _CAP_SYS_ADMIN, _CAP_SYS_NICE, _CAP_SYS_RESOURCE = 0, 21, 23, 24
_VERSION_3 = 0x2008_0522  # linux/capability.h
_CLONE_NEWUSER = 0x1000_0000


@attack("privileges", "credentials(7)")
def become_root(bait: "Bait") -> "str | None":
    """Become user 0 by setuid."""
    del bait
    os.setuid(0)
    return "it is user 0" if os.geteuid() == 0 else None


@attack("privileges", "credentials(7)")
def become_the_group_of_root(bait: "Bait") -> "str | None":
    """Become group 0 by setgid."""
    del bait
    os.setgid(0)
    return "it is group 0" if os.getegid() == 0 else None


@attack("privileges", "credentials(7): a real id that is root's, kept for later")
def keep_roots_identity_for_later(bait: "Bait") -> "str | None":
    """Become user 0 by one of the three identities alone."""
    del bait
    os.setresuid(-1, -1, 0)
    return "the saved identity is root's" if os.getresuid()[2] == 0 else None


@attack("privileges", "CVE-2014-8989: leaving a group that is denied access gives it")
def leave_groups(bait: "Bait") -> "str | None":
    """Change the supplementary groups."""
    del bait
    return answers(number(116, 159), 0x7FFF_FFFF, 0)  # the right is judged before the count


@attack("privileges", "CVE-2018-18955, maps of user namespaces")
def be_root_of_a_new_user_namespace(bait: "Bait") -> "str | None":
    """Make a user namespace, write its map, and be root in it."""
    del bait
    user = os.geteuid()
    syscall(number(272, 97), _CLONE_NEWUSER)
    with open("/proc/self/uid_map", "w", encoding="ascii") as file:
        file.write(f"0 {user} 1")
    return "user 0 with all capabilities" if os.geteuid() == 0 else None


@attack("privileges", "CVE-2018-7169, newgidmap and setgroups")
def have_a_helper_write_the_map(bait: "Bait") -> "str | None":
    """Have newuidmap, a setuid program of the system's, write a map of user namespaces."""
    del bait
    helper = "/usr/bin/newuidmap"
    if not os.path.exists(helper):
        raise Unable(f"there is no {helper}")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscall(number(272, 97), _CLONE_NEWUSER)
            os.write(writer, b"x")
            time.sleep(8)  # until it is killed
        finally:
            os._exit(1)
    os.close(writer)
    try:
        if not os.read(reader, 1):
            raise OSError(errno.EPERM, "no user namespace")
        # It allows everyone a map of one's own identity, whatever /etc/subuid says.
        output(helper, str(pid), "0", str(os.getuid()), "1")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return "it wrote the map"


@attack("privileges", "capabilities(7)")
def hold_a_capability(bait: "Bait") -> "str | None":
    """Look for a capability in any of the five sets."""
    del bait
    held = {kind: capabilities(kind) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    return ", ".join(f"{kind} {value:x}" for kind, value in held.items() if value) or None


@attack("privileges", "capabilities(7): permitted is enough to make it effective")
def raise_a_capability(bait: "Bait") -> "str | None":
    """Raise CAP_SYS_ADMIN by capset."""
    del bait
    bit = 1 << _CAP_SYS_ADMIN
    _capset(capabilities("Eff") | bit, capabilities("Prm") | bit, capabilities("Inh"))
    return "it is effective" if capabilities("Eff") & bit else None


@attack(
    "privileges",
    "CVE-2022-29162 and CVE-2022-27649: inheritable capabilities left by runc and Podman",
)
def inherit_a_capability(bait: "Bait") -> "str | None":
    """Make a capability inheritable, for a file that has it to give."""
    del bait
    _capset(capabilities("Eff"), capabilities("Prm"), capabilities("Inh") | 1 << _CAP_CHOWN)
    return "it is inheritable" if capabilities("Inh") >> _CAP_CHOWN & 1 else None


@attack("privileges", "capabilities(7), ambient since Linux 4.3")
def make_a_capability_ambient(bait: "Bait") -> "str | None":
    """Make a capability outlive every exec."""
    del bait
    _capset(capabilities("Eff"), capabilities("Prm"), capabilities("Inh") | 1 << _CAP_CHOWN)
    prctl(47, 2, _CAP_CHOWN)  # PR_CAP_AMBIENT_RAISE
    return "it is ambient"


def _capset(effective: int, permitted: int, inheritable: int) -> None:
    halves = [
        value >> shift & 0xFFFF_FFFF
        for shift in (0, 32)
        for value in (effective, permitted, inheritable)
    ]
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0), 8)
    syscall(number(126, 91), header, struct.pack("=6I", *halves))


@attack("privileges", "capabilities(7), securebits: without them root gets everything back at exec")
def set_secure_bits(bait: "Bait") -> "str | None":
    """Set the securebits, to what they are."""
    del bait
    prctl(28, prctl(27))  # asks for CAP_SETPCAP whatever the value
    return "they were set"


@attack("privileges", "capabilities(7), PR_SET_KEEPCAPS")
def keep_capabilities_over_setuid(bait: "Bait") -> "str | None":
    """Ask to keep capabilities when the user changes."""
    del bait
    prctl(8, 1)
    return "they would be kept" if capabilities("Prm") else None


@attack("privileges", "Documentation/userspace-api/no_new_privs")
def gain_by_exec(bait: "Bait") -> "str | None":
    """See whether setuid files and file capabilities give what they say."""
    del bait
    return None if prctl(39) else "no_new_privs is not set"


@attack("privileges", "setuid files left in a shared directory, for whoever is less confined")
def make_a_setuid_file_of_root(bait: "Bait") -> "str | None":
    """Make a file that makes whoever runs it root."""
    del bait
    with _file() as name:
        os.chown(name, 0, 0)
        os.chmod(name, 0o4755)
        found = os.stat(name)
        made = found.st_uid == 0 and found.st_mode & stat.S_ISUID
    return "it is setuid, and root's" if made else None


@attack("privileges", "setuid files: mount's nosuid and no_new_privs are to keep them from working")
def run_a_setuid_file_of_root(bait: "Bait") -> "str | None":
    """Become root again by a copy of /usr/bin/id that is setuid."""
    del bait
    with _file("/usr/bin/id") as name:
        os.chown(name, 0, 0)
        os.chmod(name, 0o4755)
        said = output(f"./{name}", "-u", user=_NOBODY)
    return "the copy ran as root" if said.strip() == b"0" else None


@attack("privileges", "CVE-2021-3493, file capabilities past the right to set them")
def give_a_file_capabilities(bait: "Bait") -> "str | None":
    """Give a file of one's own capabilities for whoever runs it."""
    del bait
    wanted = struct.pack(
        "<5I", 0x0200_0001, 1 << _CAP_CHOWN, 0, 0, 0
    )  # VFS_CAP_REVISION_2, effective
    with _file() as name:
        _set_attribute(name, "security.capability", wanted)
    return "it has them"


@attack("privileges", "CVE-2023-0386, overlayfs: trusted attributes say what a layer hides")
def set_a_trusted_attribute(bait: "Bait") -> "str | None":
    """Set an attribute that only the machine's root may set."""
    del bait
    with _file() as name:
        _set_attribute(name, "trusted.cloche", b"x")
    return "it was set"


def _set_attribute(name: str, key: str, value: bytes) -> None:
    try:
        os.setxattr(name, key, value)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Unable(f"this file system keeps no {key}") from error
        raise


@attack("privileges", "capabilities(7), CAP_CHOWN")
def give_a_file_away(bait: "Bait") -> "str | None":
    """Make a file another user's."""
    del bait
    with _file() as name:
        os.chown(name, 12345, -1)
        return "it is user 12345's" if os.stat(name).st_uid == 12345 else None


@attack("privileges", "capabilities(7), CAP_DAC_OVERRIDE")
def read_past_permission_bits(bait: "Bait") -> "str | None":
    """Open a file that nobody may read."""
    del bait
    with _file() as name:
        os.chmod(name, 0)
        os.close(os.open(name, os.O_RDWR))
    return "it was opened"


@contextmanager
def _file(content: str = "/dev/null") -> "Iterator[str]":
    name = f"file-{os.getpid()}"
    with open(content, "rb") as source, open(name, "xb") as copy:
        copy.write(source.read())
    try:
        yield name
    finally:
        os.unlink(name)


@attack("privileges", "sched(7): a real-time process leaves nothing for others")
def run_in_real_time(bait: "Bait") -> "str | None":
    """Take the processor before all others by SCHED_FIFO."""
    del bait
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError as error:
        # CONFIG_RT_GROUP_SCHED: a group without a share refuses root as well
        if is_root_of_the_machine() and capabilities("Eff") >> _CAP_SYS_NICE & 1:
            raise Unable("the control group has no share of real time") from error
        raise
    return "it is first"


@attack("privileges", "sched(7), SCHED_DEADLINE")
def run_by_a_deadline(bait: "Bait") -> "str | None":
    """Take the processor before real-time processes by SCHED_DEADLINE."""
    del bait
    wanted = struct.pack("=IIQiIQQQ", 48, 6, 0, 0, 0, 1_000_000, 100_000_000, 100_000_000)
    syscall(number(314, 274), 0, wanted, 0)
    return "it is first"


@attack("privileges", "setpriority(2), CAP_SYS_NICE")
def be_less_nice(bait: "Bait") -> "str | None":
    """Raise the own priority."""
    del bait
    before = os.nice(0)
    return "it was raised" if os.nice(-1) < before else None


@attack("privileges", "ioprio_set(2)")
def take_the_disk_first(bait: "Bait") -> "str | None":
    """Take the disk before all others by the real-time class."""
    del bait
    syscall(number(251, 30), 1, 0, 1 << 13)
    return "it is first"


@attack("privileges", "proc(5), oom_score_adj: let others be killed")
def be_spared_when_memory_ends(bait: "Bait") -> "str | None":
    """Have the kernel kill others first when memory runs out."""
    del bait
    keeps_from_root(_CAP_SYS_RESOURCE)
    with child() as pid, open(f"/proc/{pid}/oom_score_adj", "r+", encoding="ascii") as file:
        before = int(file.read())
        file.seek(0)
        file.write(str(before - 1))
        file.flush()
    return f"{before} became {before - 1}"


@attack("privileges", "timerfd_create(2), CAP_WAKE_ALARM")
def wake_the_machine(bait: "Bait") -> "str | None":
    """Make a timer that wakes a sleeping machine."""
    del bait
    syscall(number(283, 85), 9, 0)  # CLOCK_BOOTTIME_ALARM; it is never set
    return "have one"


@attack("privileges", "syslog(2), CAP_SYSLOG")
def change_what_the_console_shows(bait: "Bait") -> "str | None":
    """Change the level of the kernel's messages, to one that does not exist."""
    del bait
    return answers(number(103, 116), 8, 0, 0)  # the right is judged before the level
