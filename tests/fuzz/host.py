"""What a host has that a sandbox could change: each facet read anew, as plain text."""

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.watch import Facet

from cloche_launch import netlink
from cloche_launch.sources import DEVICES

MARK = "cloche-fuzz"
"""Begins each name that the program inside gives anything: none may turn up outside."""
FIRST_UID = 0x7000_0000
"""Sandboxes that root starts have users of the host from here on, which no account has."""
# At the beginning alone: what a program calls itself is told in the middle, when it dies.
_TROUBLE = re.compile(
    r"(watchdog: )?(BUG|WARNING|Oops|general protection fault,|INFO: (task|rcu)|Kernel panic)"
)
_GET_GENERATION = 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
_SANDBOX_GROUP = re.compile(r"cloche\.\d+-\d+-\d+-\d+")
# The platform itself hands controllers on to the groups it makes (cgroup-v2).
_STATE_OF_GROUP = re.compile(
    r"subtree_control|procs|tasks|threads|usage|stat|failcnt|pressure|peak|event|current|oom"
)
_CHANGE_BY_THEMSELVES = (
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/perf_event_max_sample_rate",
)
_TIMED = frozenset(DEVICES) - {"tty"}  # whose times each terminal's input and output set
_PUBLIC_PLACES = (
    "/",
    "/dev",
    "/tmp",
    "/var/tmp",
    "/run",
    "/dev/shm",
    "/dev/mqueue",
    "/usr",
    "/etc",
    "/root",
)


def machine() -> dict[str, Facet]:
    """Give all facets of this machine that are nobody's in particular."""
    kernel, clock = Kernel(), Clock()
    return {
        "settings": settings,
        "mounts": mounts,
        "names": names,
        "network": network,
        "devices": devices,
        "modules": modules,
        "stopped": stopped,
        "swap": swap,
        "disks": disks,
        "groups": groups,
        "clock": clock.read,
        "kernel": kernel.read,
        "traces": traces,
    }


def settings() -> dict[str, str]:
    """Everything in /proc/sys that somebody may write; what nobody may is state."""
    found = {}
    for top, _, files in os.walk("/proc/sys"):
        for name in files:
            path = f"{top}/{name}"
            if path in _CHANGE_BY_THEMSELVES:
                continue
            with contextlib.suppress(FileNotFoundError):
                mode = os.lstat(path).st_mode
                if mode & 0o222 and mode & 0o444:
                    found[path] = f"{mode:o} {text(path)}"
    return found


def mounts() -> dict[str, str]:
    """The mounts of our own namespace, by number."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.split()[0]: line for line in lines}


def names() -> dict[str, str]:
    """The machine's own."""
    return {"host": socket.gethostname(), "domain": text("/proc/sys/kernel/domainname")}


def network() -> dict[str, str]:
    """Interfaces, addresses, routes, and the generation of the rules, which each change makes another."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for index, name in socket.if_nameindex():
            for word, request in (("flags", 0x8913), ("mtu", 0x8921), ("address", 0x8927)):
                wanted = struct.pack("=16s24x", name.encode())
                with contextlib.suppress(OSError):
                    answer = fcntl.ioctl(asker, request, wanted)[16:34]
                    found[f"{name} {index} {word}"] = answer.hex()
    found["addresses"] = text("/proc/self/net/if_inet6") + text("/proc/self/net/fib_trie")
    for line in text("/proc/self/net/route").splitlines()[1:]:
        words = line.split()
        found["route " + " ".join(words[:4])] = " ".join(words[6:])  # not RefCnt and Use
    for line in text("/proc/self/net/ipv6_route").splitlines():
        words = line.split()
        if len(words) == 10 and not int(words[8], 16) & 0x0100_0000:  # RTF_CACHE
            found["route " + " ".join(words[:5])] = f"{words[5]} {words[8]} {words[9]}"
    found["rules"] = _generation()
    return found


def _generation() -> str:
    try:
        asker = netlink.Netlink(netlink.NETLINK_NETFILTER)
        with asker.socket:
            asker.socket.settimeout(2)
            asker.socket.send(asker.message(_GET_GENERATION, 0, struct.pack("=BBH", 0, 0, 0)))
            return asker.socket.recv(4096)[20:28].hex()  # the first attribute: NFTA_GEN_ID
    except OSError as error:
        return _refused(error)


def devices() -> dict[str, str]:
    """What is in /dev, but terminals and shared memory, which come and go; of what is shown, the times."""
    found = {}
    for top, directories, files in os.walk("/dev"):
        directories[:] = [
            d for d in directories if f"{top}/{d}" not in {"/dev/pts", "/dev/shm", "/dev/mqueue"}
        ]
        for name in (*directories, *files):
            with contextlib.suppress(FileNotFoundError):
                seen = os.lstat(f"{top}/{name}")
                found[f"{top}/{name}"] = (
                    f"{seen.st_mode:o} {seen.st_uid} {seen.st_gid} {seen.st_rdev:x}"
                )
                if name in _TIMED:
                    found[f"{top}/{name}"] += f" {seen.st_mtime_ns}"
    return found


def modules() -> dict[str, str]:
    """What the kernel loaded."""
    return {line.split()[0]: "loaded" for line in text("/proc/modules").splitlines()}


def stopped() -> dict[str, str]:
    """Processes that somebody stopped or traces, but those of sandboxes, which may do it to themselves."""
    found = {}
    own = os.readlink("/proc/self/ns/pid")
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        state = text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        with contextlib.suppress(OSError):
            if state and state[0] in "Tt" and os.readlink(f"/proc/{pid}/ns/pid") == own:
                found[f"{pid} {state[19]}"] = "stopped"
    return found


def swap() -> dict[str, str]:
    """Where memory may be written to."""
    rows = [line.split() for line in text("/proc/swaps").splitlines()[1:]]
    return {row[0]: " ".join((*row[1:3], *row[4:])) for row in rows}


def disks() -> dict[str, str]:
    """Block devices: whether they may be written, how long, and which file a loop shows."""
    found = {}
    for block in sorted(Path("/sys/block").glob("*")):
        for name in ("ro", "size", "loop/backing_file"):
            if (block / name).exists():
                found[f"{block.name} {name}"] = text(str(block / name))
    return found


def groups() -> dict[str, str]:
    """Control groups and what is set in them, but sandboxes' own, which come and go."""
    found = {}
    for top, directories, files in os.walk("/sys/fs/cgroup"):
        directories[:] = [name for name in directories if not _SANDBOX_GROUP.match(name)]
        found[top] = f"{os.lstat(top).st_mode:o} {os.lstat(top).st_uid}"
        for name in files:
            with contextlib.suppress(OSError):
                mode = os.lstat(f"{top}/{name}").st_mode
                if mode & 0o222 and mode & 0o444 and not _STATE_OF_GROUP.search(name):
                    found[f"{top}/{name}"] = text(f"{top}/{name}")
    return found


class Clock:
    """The time of day beside the time since start: only a setting moves the one against the other."""

    def __init__(self) -> None:
        self._offset = self._now()

    @staticmethod
    def _now() -> float:
        return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

    def read(self) -> dict[str, str]:
        """Give the change in whole seconds, the kernel's time zone, its tick, and which start this is."""
        zone = (ctypes.c_int * 2)()
        ctypes.CDLL(None).syscall(
            ctypes.c_long({"x86_64": 96}.get(os.uname().machine, 169)), None, zone
        )
        timex = ctypes.create_string_buffer(208)
        ctypes.CDLL(None).adjtimex(timex)
        return {
            "moved by seconds": str(round(self._now() - self._offset)),
            "zone": f"{zone[0]} {zone[1]}",
            "tick": str(struct.unpack_from("=q", timex, 88)[0]),
            "tai": str(struct.unpack_from("=i", timex, 160)[0]),
            "start": text("/proc/sys/kernel/random/boot_id"),
            "start of processes": next(iter(re.findall(r"btime (\d+)", text("/proc/stat"))), ""),
        }


class Kernel:
    """What the kernel says of its own health from now on."""

    def __init__(self) -> None:
        self._log = -1
        with contextlib.suppress(OSError):
            self._log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._log, 0, os.SEEK_END)
        self._said: dict[str, str] = {}

    def __del__(self) -> None:
        if self._log >= 0:
            os.close(self._log)

    def read(self) -> dict[str, str]:
        """Give the taint, and each line of the log that tells of a fault."""
        self._said |= trouble(self._records())
        return {"taint": text("/proc/sys/kernel/tainted"), **self._said}

    def _records(self) -> Iterator[str]:
        while self._log >= 0:
            try:
                yield os.read(self._log, 8192).decode(errors="replace")
            except BrokenPipeError:  # older records were overwritten; the next read goes on
                continue
            except OSError:
                return


def trouble(records: Iterator[str]) -> dict[str, str]:
    """Find the kernel's own complaints among its records; what programs write there is not its own."""
    found = {}
    for record in records:
        head, _, words = record.partition(";")
        facility = int(head.split(",")[0]) >> 3  # Documentation/ABI/testing/dev-kmsg
        if facility == 0 and _TROUBLE.match(words):
            found[f"record {head.split(',')[1]}"] = words
    return found


def traces() -> dict[str, str]:
    """Names that the program inside gave to something, found outside."""
    found = {}
    for place in _PUBLIC_PLACES:
        with contextlib.suppress(OSError):
            found |= {
                f"{place} {name}": "is there" for name in os.listdir(place) if name.startswith(MARK)
            }
    for line in text("/proc/self/net/unix").splitlines():
        if MARK in line:
            found[line.split()[-1]] = "is bound"
    for line in text("/proc/keys").splitlines():
        words = line.split(maxsplit=8)
        if MARK in line or (words[5].isdecimal() and int(words[5]) >= FIRST_UID):
            found[f"key {words[0]}"] = line
    for top, directories, _ in os.walk("/sys/fs/cgroup"):
        found |= {f"{top}/{name}": "is there" for name in directories if name.startswith(MARK)}
    for kind in ("shm", "sem", "msg"):
        for line in text(f"/proc/sysvipc/{kind}").splitlines()[1:]:
            key, identity, *rest = line.split()
            made_inside = any(int(word) >= FIRST_UID for word in rest[4:10] if word.isdecimal())
            if int(key) & 0xFFFF_FFF0 == 0xC10C_0000 or made_inside:
                found[f"{kind} {identity}"] = line
    return found


def system_files(since: float, places: tuple[str, ...] = ("/usr", "/etc")) -> list[str]:
    """Name what changed of the system that a sandbox is shown, from a time on."""
    found, waiting = [], list(places)
    while waiting:
        top = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(top) as entries:
            for entry in entries:
                seen = entry.stat(follow_symlinks=False)
                if seen.st_ctime >= since:
                    found.append(f"system: {entry.path!a}: changed")
                if stat.S_ISDIR(seen.st_mode):
                    waiting.append(entry.path)
    return found


def text(path: str) -> str:
    """Read a small file of the kernel's; a refusal is an answer as well."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace").strip()
    except OSError as error:
        return "" if error.errno in (errno.ENOENT, errno.ESRCH) else _refused(error)


def _refused(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error.errno))
