"""Attacks on devices: nodes that are there, and nodes made by hand. Opened, and nothing more."""

import os
import stat

from cloche_redteam import places
from cloche_redteam.attack import Unable, attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait


@attack("devices", "mem(4)")
def open_the_machines_memory(bait: "Bait") -> "str | None":
    """Open the memory or the ports of the machine."""
    return places.opened(places.of(bait, "memory"), os.O_RDONLY)


@attack("devices", "msr(4), cpuid(4)")
def open_the_processors_registers(bait: "Bait") -> "str | None":
    """Open the registers of a processor."""
    return places.opened(places.of(bait, "registers"), os.O_RDONLY)


@attack("devices", "debugfs(8) on the host's disk, the usual way out of a privileged container")
def open_a_disk(bait: "Bait") -> "str | None":
    """Open a disk of the machine, where every file lies without an owner."""
    return places.opened(places.of(bait, "disks"), os.O_RDONLY)


@attack("devices", "dmsetup(8), ioctl_btrfs(2)")
def open_a_manager_of_disks(bait: "Bait") -> "str | None":
    """Open the control of mapped disks or of a file system."""
    return places.opened(places.of(bait, "disk managers"), os.O_RDONLY)


@attack("devices", "CVE-2021-29657, CVE-2019-14835: guests that got out through the host's kernel")
def open_the_machine_maker(bait: "Bait") -> "str | None":
    """Open the device that makes virtual machines."""
    return places.opened(places.of(bait, "machines"), os.O_RDWR)


@attack("devices", "fuse(4): a file system that stalls whoever reads it")
def open_the_user_file_systems(bait: "Bait") -> "str | None":
    """Open the device by which a program serves a file system to the kernel."""
    return places.opened(places.of(bait, "user file systems"), os.O_RDWR)


@attack("devices", "loop(4): a file becomes a disk with a crafted file system")
def open_the_loop_devices(bait: "Bait") -> "str | None":
    """Open the control of loop devices, or one of them."""
    return places.opened(places.of(bait, "loops"), os.O_RDONLY)


@attack("devices", "the kernel's Documentation/networking/tuntap")
def open_the_tunnel_maker(bait: "Bait") -> "str | None":
    """Open the device that makes network interfaces."""
    return places.opened(places.of(bait, "tunnels"), os.O_RDWR)


@attack("devices", "uinput: keys that the user did not press; evdev: those they did")
def open_a_keyboard(bait: "Bait") -> "str | None":
    """Open an input device, or the maker of them."""
    return places.opened(places.of(bait, "keyboards"), os.O_RDONLY)


@attack("devices", "the kernel's Documentation/userspace-api/media, /sound")
def open_a_camera_or_a_microphone(bait: "Bait") -> "str | None":
    """Open a camera, or the control of a sound card."""
    return places.opened(places.of(bait, "ears and eyes"), os.O_RDONLY)


@attack("devices", "drm(7): drivers of graphics cards take memory and programs from whoever opens")
def open_a_graphics_card(bait: "Bait") -> "str | None":
    """Open a graphics card or a frame buffer."""
    return places.opened(places.of(bait, "graphics"), os.O_RDWR)


@attack("devices", "usbfs, the kernel's Documentation/driver-api/usb")
def open_a_usb_device(bait: "Bait") -> "str | None":
    """Open a device on the USB bus."""
    return places.opened(places.of(bait, "usb"), os.O_RDONLY)


@attack("devices", "syslog(2): addresses of the kernel in its log, dmesg_restrict")
def open_the_kernels_log(bait: "Bait") -> "str | None":
    """Open the kernel's log."""
    return places.opened(places.of(bait, "kernel log"), os.O_RDONLY)


@attack("devices", "the kernel's Documentation/power/pm_qos_interface: held open, it costs power")
def open_the_processors_sleep(bait: "Bait") -> "str | None":
    """Open the device that keeps processors from sleeping."""
    return places.opened(places.of(bait, "latency"), os.O_RDONLY)


@attack("devices", "the kernel's Documentation/filesystems/autofs-mount-control")
def open_the_automatic_mounter(bait: "Bait") -> "str | None":
    """Open the control of automatic mounts."""
    return places.opened(places.of(bait, "mounters"), os.O_RDONLY)


@attack("devices", "mknod(2) in a container that kept CAP_MKNOD")
def make_a_device_node(_bait: "Bait") -> "str | None":
    """Make a node of a character device, the harmless null, and open it."""
    return _made(stat.S_IFCHR, os.makedev(1, 3))


@attack("devices", "mknod(2) and debugfs(8), the usual way out of a privileged container")
def make_a_node_of_the_hosts_disk(bait: "Bait") -> "str | None":
    """Make a node of the disk on which the user's files lie, and open it."""
    if not bait["disk"]:
        raise Unable("the bait lies on no disk that this machine lets anyone open")
    return _made(stat.S_IFBLK, int(bait["disk"]))


@attack("devices", "mknod(2) of 1:1, which is /dev/mem by any name")
def make_a_node_of_the_machines_memory(bait: "Bait") -> "str | None":
    """Make a node of the machine's memory, and open it."""
    places.of(bait, "memory")
    return _made(stat.S_IFCHR, os.makedev(1, 1))


@attack("devices", "devices that are shared with the host; chmod(2)")
def change_the_rights_of_a_shared_device(_bait: "Bait") -> "str | None":
    """Set the rights of /dev/null, to those it has: it may be everyone's."""
    os.chmod("/dev/null", stat.S_IMODE(os.stat("/dev/null").st_mode))
    return "set them"


def _made(kind: int, device: int) -> str:
    refusal = OSError()
    for place in (".", "/tmp", "/dev/shm", "/dev"):
        node = f"{place}/node-{os.getpid()}"
        try:
            os.mknod(node, kind | 0o600, device)
        except OSError as error:
            refusal = error
            continue
        try:
            os.close(os.open(node, os.O_RDONLY | os.O_NONBLOCK))
        except OSError as error:
            refusal = error
            continue
        finally:
            os.unlink(node)
        return f"opened {os.major(device)}:{os.minor(device)}, made in {place}"
    raise refusal
