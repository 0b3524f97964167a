"""Places of a machine that a sandbox must keep shut: which of them there are is looked up outside."""

import errno
import glob
import json
import os
import stat
from itertools import dropwhile

from cloche_redteam.attack import Unable

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

# Never here: /dev/watchdog* (opening one starts it), /dev/rtc*, /dev/tpm0 (one user at a time), and
# whatever else does something by being opened.
PLACES = {
    "accounts": ("/etc/passwd", "/etc/group"),
    "passwords": ("/etc/shadow", "/etc/gshadow"),
    "programs": ("/usr/bin/true", "/bin/true", "/usr/bin/env", "/bin/ls"),
    "start": ("/etc/cron.d", "/etc/profile.d", "/etc/systemd/system", "/etc/init.d"),
    "managers": (
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/podman/podman.sock",
        "/run/user/*/podman/podman.sock",
        "/run/crio/crio.sock",
        "/run/systemd/private",
        "/run/user/*/systemd/private",
        "/run/dbus/system_bus_socket",
        "/run/user/*/bus",
        "/var/snap/lxd/common/lxd/unix.socket",
        "/run/libvirt/libvirt-sock",
    ),
    "release agents": ("/sys/fs/cgroup/*/release_agent", "/sys/fs/cgroup/release_agent"),
    "kernel objects": (
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/module/*/parameters/debug",
    ),
    "tracing": ("/sys/kernel/tracing/trace_marker", "/sys/kernel/debug/*", "/sys/fs/pstore/*"),
    "memory": ("/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore"),
    "page flags": ("/proc/kpageflags", "/proc/kpagecount"),
    "kernel log": ("/dev/kmsg", "/proc/kmsg"),
    "registers": ("/dev/cpu/*/msr", "/dev/cpu/*/cpuid"),
    "disks": ("/dev/[shv]d[a-z]", "/dev/nvme[0-9]n[0-9]", "/dev/mmcblk[0-9]", "/dev/dm-[0-9]"),
    "disk managers": ("/dev/mapper/control", "/dev/btrfs-control", "/dev/zfs"),
    "machines": ("/dev/kvm", "/dev/vhost-net", "/dev/vboxdrv"),
    "user file systems": ("/dev/fuse", "/dev/cuse"),
    "loops": ("/dev/loop-control", "/dev/loop[0-9]"),
    "tunnels": ("/dev/net/tun",),
    "keyboards": ("/dev/input/event*", "/dev/uinput", "/dev/uhid", "/dev/hidraw*"),
    "ears and eyes": ("/dev/snd/control*", "/dev/video[0-9]", "/dev/media[0-9]"),
    "graphics": ("/dev/dri/card*", "/dev/dri/renderD*", "/dev/fb0", "/dev/nvidiactl"),
    "usb": ("/dev/bus/usb/*/*",),
    "latency": ("/dev/cpu_dma_latency",),
    "mounters": ("/dev/autofs",),
    "hardware random numbers": ("/dev/hwrng",),
    "console": ("/dev/console",),
    "screens": ("/dev/vcs[0-9]*", "/dev/vcs", "/dev/vcsa"),
    "virtual terminals": ("/dev/tty0", "/dev/tty1"),
}


def found() -> str:
    """Look up, on the host, which of the places there are; for the bait."""
    there = {name: [p for each in paths for p in glob.glob(each)] for name, paths in PLACES.items()}
    # What nobody can open proves nothing: each list begins with one that somebody can.
    worth = {name: list(dropwhile(kept_from_all, paths)) for name, paths in there.items()}
    return json.dumps({name: paths[:8] for name, paths in worth.items()})


def disk_below(path: str) -> str:
    """Give the number of the disk that `path` lies on, or nothing where no one may open it."""
    device = os.stat(path).st_dev
    nodes = [n for each in PLACES["disks"] for n in glob.glob(f"{each}*")]
    same = [node for node in nodes if os.stat(node).st_rdev == device]
    if os.major(device) == 0 or any(map(kept_from_all, same)):
        return ""
    return str(device)


def kept_from_all(path: str) -> bool:
    """Tell whether opening is refused for what the machine is, and not for who asks, which is EACCES."""
    if stat.S_ISSOCK(os.lstat(path).st_mode):
        return False  # connected to, never opened
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno != errno.EACCES
    return False


def of(bait: "Bait", name: str) -> "list[str]":
    """Give the places that the machine has of a kind. Raises Unable when it has none."""
    paths: list[str] = json.loads(bait["places"])[name]
    if not paths:
        raise Unable(f"this machine has none to open of {' '.join(PLACES[name])}")
    return paths


def opened(paths: "list[str]", flags: int) -> str:
    """Open the first of `paths` that lets itself be opened, and close it. Raises the last OSError."""
    refusal = OSError()
    for path in paths:
        try:
            os.close(os.open(path, flags | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            refusal = error
            continue
        return f"opened {path}"
    raise refusal
