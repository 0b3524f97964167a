"""Changes of a host, one of each kind that the watch of random calls is to report: made in namespaces of their own."""

import ctypes
import fcntl
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import host
from tests.fuzz.canary import Canary

from cloche_launch import abi, network
from cloche_launch.calls import mount, prctl, unshare
from cloche_redteam import libc, shared

CLONE_NEWTIME = 0x80  # linux/sched.h, Linux 5.6
NAMESPACES = abi.CLONE_NEWNS | abi.CLONE_NEWUTS | abi.CLONE_NEWIPC | abi.CLONE_NEWNET
TEXT = b"another"


def cover(path: str, content: str | None = None) -> None:
    """Show another file in place of one of the kernel's."""
    if not os.path.exists(path):
        print(f"this kernel has no {path}", file=sys.stderr)
        sys.exit(77)
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(f"{host.text(path)}1\n" if content is None else content)
    os.chmod(file.name, os.stat(path).st_mode & 0o777)
    mount(file.name, path, None, abi.MS_BIND)
    os.unlink(file.name)


def lock(canary: Canary) -> None:
    """Wait for a lock that the canary holds."""
    if os.fork() == 0:
        os.closerange(3, 1000)  # what the canary's keeper reads must end with us
        prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        fcntl.lockf(os.open(f"{canary.tree}/secret", os.O_RDWR), fcntl.LOCK_EX)
        os._exit(0)


def stop(_: Canary) -> None:
    if (pid := os.fork()) == 0:
        os.closerange(3, 1000)  # what the canary's keeper reads must end with us
        prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)


def connect(canary: Canary) -> None:
    asker = socket.socket(socket.AF_UNIX)
    asker.connect(f"\0{canary.abstract}")
    asker.detach()


def group(_: Canary) -> None:
    cover(next(path for path in host.groups() if os.path.isfile(path)))


def update_key(canary: Canary) -> None:
    libc.syscall(libc.number(250, 219), 2, canary.key, TEXT, len(TEXT))  # KEYCTL_UPDATE


def bind_in_the_marked_range(_: Canary) -> None:
    shared.make_memory(0xC10C_0001 - (1 << 32), 4096)


def bind_a_marked_name(_: Canary) -> None:
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(f"\0{host.MARK}")
    bound.detach()


def leave_a_marked_file(_: Canary) -> None:
    mount("tmpfs", "/var/tmp", "tmpfs", 0)
    Path("/var/tmp", f"{host.MARK}-1").touch()


def move_the_clock(_: Canary) -> None:
    """Have the processes made from here on count their time from an hour earlier. time_namespaces(7)."""
    unshare(CLONE_NEWTIME)
    Path("/proc/self/timens_offsets").write_text("monotonic 3600 0\n")


def adjust(path: str, content: str) -> Callable[[Canary], None]:
    return lambda _: Path(path).write_text(content) and None


def on_a_file(act: Callable[[str], object]) -> Callable[[Canary], None]:
    return lambda canary: act(f"{canary.tree}/open") and None


def on_the_process(act: Callable[[int], object]) -> Callable[[Canary], None]:
    return lambda canary: act(canary.pid) and None


def prlimit(pid: int) -> None:
    import resource  # noqa: PLC0415 - of this act alone

    resource.prlimit(pid, resource.RLIMIT_NOFILE, (100, 100))


# The facet, what is done, and what the watch must name.
DISTURBANCES: dict[str, tuple[str, Callable[[Canary], object], str]] = {
    "a setting": ("settings", adjust("/proc/sys/net/ipv4/ip_forward", "1"), "ip_forward"),
    "a setting of the kernel's": (
        "settings",
        lambda _: cover("/proc/sys/kernel/core_pattern"),
        "core_pattern",
    ),
    "a mount": ("mounts", lambda _: mount("tmpfs", "/mnt", "tmpfs", 0), "/mnt"),
    "a mount's flags": (
        "mounts",
        lambda _: mount(None, "/", None, abi.MS_REMOUNT | abi.MS_BIND | abi.MS_NODEV),
        "nodev",
    ),
    "the host's name": ("names", lambda _: socket.sethostname("another"), "host"),
    "the domain's name": (
        "names",
        lambda _: ctypes.CDLL(None).setdomainname(b"another", 7),
        "domain",
    ),
    "an interface": ("network", lambda _: network.furnish(observed=False), "lo 1 flags"),
    "an address": ("network", lambda _: network.furnish(observed=True), "addresses"),
    "a route": ("network", lambda _: network.furnish(observed=True), "route"),
    "a rule": ("network", lambda _: network.furnish(observed=True), "rules"),
    "a device": (
        "devices",
        lambda _: mount("/dev/null", "/dev/full", None, abi.MS_BIND),
        "/dev/full",
    ),
    "a new device": ("devices", lambda _: mount("tmpfs", "/dev", "tmpfs", 0), "/dev/null"),
    "a module": (
        "modules",
        lambda _: cover("/proc/modules", "another 4096 0 - Live 0x0\n"),
        "another",
    ),
    "a stopped process": ("stopped", stop, "stopped"),
    "swap": ("swap", lambda _: cover("/proc/swaps", "head\n/canary file 4096 0 -2\n"), "/canary"),
    "a disk": ("disks", lambda _: cover(next(map(str, Path("/sys/block").glob("*/ro")))), "ro"),
    "a control group": ("groups", group, "/sys/fs/cgroup"),
    "the clock": ("clock", move_the_clock, "moved by seconds"),
    "a new start": ("clock", lambda _: cover("/proc/sys/kernel/random/boot_id"), "start"),
    "a taint": ("kernel", lambda _: cover("/proc/sys/kernel/tainted"), "taint"),
    "a trace in a directory": ("traces", leave_a_marked_file, "/var/tmp"),
    "a trace among sockets": ("traces", bind_a_marked_name, host.MARK),
    "a trace among objects": ("traces", bind_in_the_marked_range, "shm"),
    "content": ("files", on_a_file(lambda path: Path(path).write_bytes(TEXT)), "open"),
    "a mode": ("files", on_a_file(lambda path: os.chmod(path, 0o640)), "open"),
    "times": ("files", on_a_file(lambda path: os.utime(path, (2, 2))), "open"),
    "a link": ("files", on_a_file(lambda path: os.link(path, f"{path}-2")), "open-2"),
    "a new file": ("files", on_a_file(lambda path: Path(f"{path}-3").touch()), "open-3"),
    "the project": ("files", lambda canary: (canary.stage / "base/canary").unlink(), "base/canary"),
    "a process's end": (
        "processes",
        on_the_process(lambda pid: os.kill(pid, signal.SIGKILL)),
        "state",
    ),
    "a process's stop": (
        "processes",
        on_the_process(lambda pid: os.kill(pid, signal.SIGSTOP)),
        "state",
    ),
    "niceness": (
        "processes",
        on_the_process(lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 7)),
        "nice",
    ),
    "affinity": (
        "processes",
        on_the_process(lambda pid: os.sched_setaffinity(pid, {0})),
        "Cpus_allowed",
    ),
    "a policy": (
        "processes",
        on_the_process(lambda pid: os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))),
        "policy",
    ),
    "whom memory runs out for": (
        "processes",
        on_the_process(lambda pid: Path(f"/proc/{pid}/oom_score_adj").write_text("7")),
        "oom",
    ),
    "a limit": ("processes", on_the_process(prlimit), "limits"),
    "memory": ("objects", lambda canary: shared.fill_memory(canary.segment, TEXT), "memory"),
    "a semaphore": (
        "objects",
        lambda canary: libc.syscall(libc.number(66, 191), canary.semaphore, 0, 16, 8),
        "semaphore",
    ),
    "a message": ("objects", lambda canary: shared.take(canary.messages), "msg"),
    "a queue": (
        "objects",
        lambda canary: shared.take_named(shared.open_named_queue(canary.queue, os.O_RDWR)),
        "queue",
    ),
    "a key": ("keys", update_key, "canary"),
    "a socket": ("sockets", connect, "@cloche-canary"),
    "a lock": ("locks", lock, "->"),
}
