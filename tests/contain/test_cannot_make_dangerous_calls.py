"""What the system-call filter refuses (12), each tried for real."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

Run = Callable[..., SimpleNamespace]

TRY = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
result = {call}
print(errno.errorcode.get(ctypes.get_errno(), 0) if result == -1 else 'OK')
"""

# Where a kernel would refuse anyway the answer must still be the filter's own.
REFUSED = {
    "a user namespace": ("libc.unshare(0x10000000)", "EPERM"),
    "a mount namespace": ("libc.unshare(0x20000)", "EPERM"),
    "clone with a user namespace": ("libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)", "EPERM"),
    "clone3": ("libc.syscall(435, 0, 0)", "ENOSYS"),
    "setns": ("libc.setns(0, 0)", "EPERM"),
    "mount": ("libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)", "EPERM"),
    "the new mount calls": ("libc.syscall(430, b'tmpfs', 0)", "EPERM"),
    "chroot": ("libc.chroot(b'/tmp')", "EPERM"),
    "ptrace": ("libc.ptrace(16, 1, 0, 0)", "EPERM"),
    "reading another process": ("libc.process_vm_readv(1, 0, 0, 0, 0, 0)", "EPERM"),
    "io_uring": ("libc.syscall(425, 1, 0)", "ENOSYS"),
    "bpf": ("libc.syscall(321, 0, 0, 0)", "EPERM"),
    "perf": ("libc.syscall(298, 0, 0, -1, -1, 0)", "EPERM"),
    "userfaultfd": ("libc.syscall(323, 0)", "EPERM"),
    "keyctl": ("libc.syscall(250, 0, 0)", "EPERM"),
    "open_by_handle_at": ("libc.syscall(304, 0, 0, 0)", "EPERM"),
    "kexec": ("libc.syscall(246, 0, 0, 0, 0)", "EPERM"),
    "a kernel module": ("libc.syscall(175, 0, 0, 0)", "EPERM"),
    "personality": ("libc.personality(0x0400000)", "EPERM"),
    "a call that does not exist": ("libc.syscall(9999)", "ENOSYS"),
    "vsock": ("libc.socket(40, 1, 0)", "EPERM"),
    "a pair of vsocks": ("libc.socketpair(40, 1, 0, (ctypes.c_int * 2)())", "EPERM"),
    "a pair of a family that the kernel would load": (
        "libc.socketpair(30, 1, 0, (ctypes.c_int * 2)())",
        "EPERM",
    ),
    "the crypto socket": ("libc.socket(38, 5, 0)", "EPERM"),
    "a raw socket": ("libc.socket(2, 3, 1)", "EPERM"),
    "a packet socket": ("libc.socket(17, 3, 0)", "EPERM"),
    "netfilter's netlink": ("libc.socket(16, 3, 12)", "EPERM"),
    "mptcp": ("libc.socket(2, 1, 262)", "EPERM"),
    "typing into a terminal": ("libc.ioctl(0, ctypes.c_ulong(0x5412), b'x')", "EPERM"),
    "the same past a 64-bit comparison": (
        "libc.syscall(16, 0, ctypes.c_ulong(0x100005412), b'x')",
        "EPERM",
    ),
    "pasting into a console": ("libc.ioctl(0, ctypes.c_ulong(0x541C), b'x')", "EPERM"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_dangerous_call_is_refused(python: Run, name: str) -> None:
    call, answer = REFUSED[name]
    done = python(TRY.format(call=call))
    assert done.stdout == f"{answer}\n", done.stderr


def test_a_foreign_architecture_is_killed(python: Run) -> None:
    """32-bit calls have other numbers: int 0x80 must end the process, not be judged."""
    done = python(
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(bytes.fromhex('b814000000cd80c3'))\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()\n"
        "print('lived')\n"
    )
    assert "lived" not in done.stdout
    assert done.status == 128 + 31


ALLOWED = {
    "threads": "import threading; t = threading.Thread(target=print, args=('ok',)); t.start(); t.join()",
    "processes": "import subprocess; print(subprocess.run(['echo', 'ok'], capture_output=True, text=True).stdout)",
    "a local server": "import socket; s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); print('ok')",
    "a unix socket": "import socket; a, b = socket.socketpair(); a.send(b'ok'); print(b.recv(2).decode())",
    "a temporary file": "import tempfile; tempfile.TemporaryFile().write(b'x'); print('ok')",
    "memory": "import mmap; mmap.mmap(-1, 1 << 20); print('ok')",
    "time": "import time; time.sleep(0.01); print('ok')",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_honest_programs_need_works(python: Run, name: str) -> None:
    done = python(ALLOWED[name])
    assert "ok" in done.stdout, done.stderr
