"""Attacks on terminals: typing for the user, reading their screen."""

import ctypes
import fcntl
import os
import struct
import termios

from cloche_redteam import libc, places
from cloche_redteam.attack import Unable, attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_TIOCLINUX = 0x541C  # asm-generic/ioctls.h
_TIOCL_GETSHIFTSTATE = 6  # linux/tiocl.h: asks only
_NO_DISCIPLINE = 30  # linux/tty.h: the highest number; no discipline has it


@attack("terminal", "pts(4); a devpts that is the host's")
def open_the_callers_terminal(bait: "Bait") -> "str | None":
    """Open a terminal of the user's by its path."""
    descriptor = os.open(bait["terminal"], os.O_RDWR | os.O_NOCTTY)
    try:
        same = str(os.fstat(descriptor).st_dev) == bait["terminal_file_system"]
        return "opened it" if same else None
    finally:
        os.close(descriptor)


@attack("terminal", "CVE-2017-5226, CVE-2016-2568, CVE-2016-7545")
def type_into_the_terminal(bait: "Bait") -> "str | None":
    """Type a letter into a terminal of the user's with TIOCSTI."""
    descriptor = _taken(bait)
    fcntl.ioctl(descriptor, termios.TIOCSTI, b"x")
    return "typed a letter"


@attack("terminal", "CVE-2019-10063")
def type_past_a_filter_of_32_bits(bait: "Bait") -> "str | None":
    """Type with a request number whose upper half a filter may look at, and the kernel does not."""
    letter = ctypes.c_char(b"x")
    request = termios.TIOCSTI | 1 << 32
    libc.syscall(libc.number(16, 29), _taken(bait), request, ctypes.byref(letter))
    return "typed a letter"


@attack("terminal", "tty_ioctl(4): echo off, or keys that no longer interrupt")
def change_how_the_terminal_behaves(bait: "Bait") -> "str | None":
    """Set the attributes of a terminal of the user's, to those it has."""
    descriptor = int(bait["terminal_descriptor"])
    termios.tcsetattr(descriptor, termios.TCSANOW, termios.tcgetattr(descriptor))
    return "set them"


@attack("terminal", "TIOCSCTTY, tty_ioctl(4)")
def take_the_terminal_as_ones_own(bait: "Bait") -> "str | None":
    """Become the session that a terminal of the user's belongs to."""
    os.setsid()
    fcntl.ioctl(int(bait["terminal_descriptor"]), termios.TIOCSCTTY, 0)
    os.close(os.open("/dev/tty", os.O_RDWR))
    return "/dev/tty is the user's"


@attack("terminal", "CVE-2017-2636, CVE-2023-6546: line disciplines that an ioctl loads")
def load_a_line_discipline(_bait: "Bait") -> "str | None":
    """Ask for a line discipline that is none: a kernel that looks for it would load others."""
    master, slave = os.openpty()
    wanted = ctypes.c_int(_NO_DISCIPLINE)
    try:
        return libc.exists(libc.number(16, 29), slave, termios.TIOCSETD, ctypes.byref(wanted))
    finally:
        os.close(slave)
        os.close(master)


@attack("terminal", "CVE-2023-28100, CVE-2023-1523")
def paste_into_a_console(bait: "Bait") -> "str | None":
    """Reach the console's selection, which pastes, with a question that changes nothing."""
    refusal: OSError | None = None
    for path in places.of(bait, "virtual terminals"):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            refusal = error
            continue
        try:
            fcntl.ioctl(descriptor, _TIOCLINUX, struct.pack("B", _TIOCL_GETSHIFTSTATE))
        except OSError as error:
            refusal = error
            continue
        finally:
            os.close(descriptor)
        return f"{path} answers"
    raise refusal or Unable("no virtual terminal")


@attack("terminal", "console(4)")
def open_the_machines_console(bait: "Bait") -> "str | None":
    """Open the console of the machine."""
    return places.opened(places.of(bait, "console"), os.O_WRONLY)


@attack("terminal", "vcs(4)")
def read_the_screen(bait: "Bait") -> "str | None":
    """Open what a virtual console shows."""
    return places.opened(places.of(bait, "screens"), os.O_RDONLY)


def _taken(bait: "Bait") -> int:
    """Give the inherited terminal, as one's own where it can be had: an ordinary user types into no other."""
    descriptor = int(bait["terminal_descriptor"])
    os.fstat(descriptor)
    os.setsid()
    try:
        fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
    except OSError:
        return descriptor
    return descriptor
