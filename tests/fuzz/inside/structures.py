"""What system calls take by pointer: each a mixture of right fields and noise.

Layouts are those of the headers of Linux 6.18 for 64-bit machines.
"""

import os
import socket
import struct

from inside import bits

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable

    from inside.values import Values

_BPF_EXIT = struct.pack("=QQ", 0xB7, 0x95)  # r0 = 0; exit
_ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF_0000)


def open_how(values: "Values") -> bytes:
    """struct open_how: flags, mode, resolve."""
    mode = values.bits("mode") if values.chance(0.5) else 0
    return struct.pack(
        "=3Q", values.bits("oflags"), mode, values.rng.choice((0, 1, 2, 4, 8, 16, 32))
    )


def clone_args(values: "Values") -> bytes:
    """struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, ..., cgroup."""
    room = values.room()
    flags = values.bits("clone") & ~0xFF
    fields = (flags, room, room, room, 17, 0, 0, 0, room, values.rng.choice((0, 1)))
    return struct.pack("=10QQ", *fields, values.descriptor() & 0xFFFF)


def mount_attr(values: "Values") -> bytes:
    """struct mount_attr: attr_set, attr_clr, propagation, userns_fd."""
    propagation = values.rng.choice((0, 1 << 17, 1 << 18, 1 << 19, 1 << 20))
    sets, clears = values.bits("mount_attribute"), values.bits("mount_attribute")
    return struct.pack("=4Q", sets, clears, propagation, values.descriptor() & 0xFFFF)


def sockaddr(values: "Values") -> bytes:
    """An address of a family, to which a sandbox may not speak."""
    return values.rng.choice(_ADDRESSES)(values)


def _unix(values: "Values") -> bytes:
    named = (b"\0" + values.abstract_name(), values.text_path(), b"\0", b"")
    return struct.pack("=H", 1) + values.rng.choice(named)[:108]


def _inet(values: "Values") -> bytes:
    host = values.rng.choice(("127.0.0.1", "0.0.0.0", "10.0.0.1", "255.255.255.255", "224.0.0.1"))
    return struct.pack("!2sH4s8x", struct.pack("=H", 2), values.port(), socket.inet_aton(host))


def _inet6(values: "Values") -> bytes:
    host = values.rng.choice(("::1", "::", "::ffff:127.0.0.1", "fe80::1", "ff02::1"))
    packed = socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H", 10) + struct.pack("!HI16sI", values.port(), 0, packed, 1)


def _netlink(values: "Values") -> bytes:
    return struct.pack("=HHII", 16, 0, values.rng.choice((0, 1, 1000)), values.rng.choice((0, 1)))


def _packet(values: "Values") -> bytes:
    return struct.pack("=HHiHBB8s", 17, 0x0300, 1, 1, 0, 6, values.rng.randbytes(8))


def _vsock(values: "Values") -> bytes:
    return struct.pack("=HHIIB3x", 40, 0, values.port(), values.rng.choice((0, 1, 2, 3)), 0)


def _any_family(values: "Values") -> bytes:
    return struct.pack("=H", values.rng.randrange(48)) + values.rng.randbytes(62)


_ADDRESSES = (_unix, _unix, _inet, _inet6, _netlink, _packet, _vsock, _any_family)


def msghdr(values: "Values") -> bytes:
    """struct msghdr with an address, vectors, and control messages: descriptors, credentials, more."""
    address = sockaddr(values) if values.chance(0.5) else b""
    control = _control(values) if values.chance(0.6) else b""
    count = values.rng.choice((0, 1, 1, 2, 8))
    place = values.place(address) if address else 0
    where = values.place(control) if control else 0
    return struct.pack(
        "=QIxxxxQQQQIxxxx",
        place,
        len(address),
        values.vectors(count),
        count,
        where,
        len(control),
        0,
    )


def mmsghdr(values: "Values") -> bytes:
    """Several of them."""
    return b"".join(msghdr(values) + bytes(8) for _ in range(3))


def _control(values: "Values") -> bytes:
    kind = values.rng.randrange(4)
    if kind < 2:  # SCM_RIGHTS
        count = values.rng.choice((1, 1, 2, 3, 253, 254))
        content = struct.pack(f"={count}i", *(_whole(values.descriptor()) for _ in range(count)))
        head = (1, 1)
    elif kind == 2:  # SCM_CREDENTIALS
        ids = (os.getpid(), values.rng.choice((0, 1000, 65534)), values.rng.choice((0, 1000)))
        content, head = struct.pack("=3i", *ids), (1, 2)
    else:
        content = values.rng.randbytes(values.rng.choice((0, 4, 8, 16)))
        head = (values.rng.choice(bits.CHOICES["level"]), values.rng.randrange(80))
    block = struct.pack("=Qii", 16 + len(content), *head) + content
    return block + bytes(-len(block) % 8)


def message(values: "Values") -> bytes:
    """What is sent: a request of rtnetlink's, or noise."""
    kind = values.rng.choice(
        (16, 17, 18, 19, 20, 21, 22, 24, 25, 26, 28, 32, 36, 66, 80, 88, 100, 112)
    )
    body = struct.pack("=BxHiII", 0, 0, 1, values.rng.choice((0, 1, 0x100)), 0xFFFF_FFFF)
    body += struct.pack("=HH16s", 20, values.rng.randrange(64), b"cloche-fuzz-link")
    flags = values.rng.choice((1, 5, 0x301, 0x305, 0x605, 0x105))
    head = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0)
    return head + body if values.chance(0.7) else values.rng.randbytes(64)


def bpf_attr(values: "Values") -> bytes:
    """union bpf_attr: of a map, or of a program."""
    code, licence = values.place(_BPF_EXIT), values.place(b"GPL\0")
    kind = values.rng.randrange(33)
    a_map = struct.pack("=6I", kind, 4, 8, 1, 0, 0)
    a_program = struct.pack("=IIQQIIQ", kind, 2, code, licence, 1, 4096, values.room())
    return values.rng.choice((a_map, a_program)).ljust(144, b"\0")


def perf_attr(values: "Values") -> bytes:
    """struct perf_event_attr."""
    size = values.rng.choice((64, 72, 96, 112, 120, 128, 136))
    kinds = (values.rng.randrange(8), size, values.rng.randrange(12), 1, 7, 0)
    return struct.pack("=IIQQQQQ", *kinds, values.rng.getrandbits(40)).ljust(136, b"\0")


def uring_params(values: "Values") -> bytes:
    """struct io_uring_params."""
    return struct.pack("=5I", 0, 0, values.rng.getrandbits(16), 0, 1000).ljust(120, b"\0")


def sched_attr(values: "Values") -> bytes:
    """struct sched_attr: policies real-time and deadline among them."""
    policy, nice = values.rng.randrange(8), values.rng.choice((-20, 0, 19))
    time = (10_000_000, 30_000_000, 30_000_000)
    return struct.pack(
        "=IIQiI3QII", 56, policy, 0, nice, values.rng.choice((0, 1, 99)), *time, 0, 1024
    )


def ruleset(values: "Values") -> bytes:
    """struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped."""
    return struct.pack("=3Q", values.rng.getrandbits(16), values.rng.randrange(4), 0).ljust(
        4096, b"\0"
    )


def sched_param(values: "Values") -> bytes:
    """struct sched_param of a policy that is not of real time."""
    return struct.pack("=i", values.rng.choice((0, 0, 0, 1, 99)))


def landlock_rule(values: "Values") -> bytes:
    """struct landlock_path_beneath_attr, or of a port."""
    return struct.pack("=Qi", values.rng.getrandbits(16), _whole(values.descriptor())) + bytes(4)


def file_handle(values: "Values") -> bytes:
    """struct file_handle: that of a root directory, of ext4 and others."""
    kind = values.rng.choice((1, 2, 0x81, 0x4D, 0xF1, 0xFE, 0xFF))
    return struct.pack("=IiII", values.rng.choice((8, 12, 16, 128)), kind, 2, 0).ljust(136, b"\0")


def sock_fprog(values: "Values") -> bytes:
    """struct sock_fprog: a filter that allows everything."""
    return struct.pack("=HxxxxxxQ", 1, values.place(_ALLOW_ALL))


def statmount(values: "Values") -> bytes:
    """struct mnt_id_req."""
    identity = values.rng.choice((0xFFFF_FFFF_FFFF_FFFF, 1 << 31, 1, values.rng.getrandbits(33)))
    return struct.pack("=IIQQQ", values.rng.choice((24, 32)), 0, identity, 0xFFF, 0)


def rlimit(values: "Values") -> bytes:
    """struct rlimit."""
    choice = (0, 1, 100, 4096, 1 << 30, (1 << 64) - 1)
    return struct.pack("=2Q", values.rng.choice(choice), values.rng.choice(choice))


def timespec(values: "Values") -> bytes:
    """Two of struct timespec, or of itimerspec: short, or none at all."""
    nanoseconds = (0, 1, 1000, 999_999_999, 1_000_000_000, (1 << 30) - 1, (1 << 30) - 2)
    seconds = values.rng.choice((0, 0, 0, -1, 1 << 62))
    return struct.pack(
        "=4q", 0, values.rng.choice(nanoseconds), seconds, values.rng.choice(nanoseconds)
    )


def timeval(values: "Values") -> bytes:
    """Two of struct timeval."""
    return struct.pack(
        "=4q", 0, values.rng.choice((0, 1, 999, -1)), 0, values.rng.choice((0, 500, 1 << 40))
    )


def timex(values: "Values") -> bytes:
    """struct timex: to set the clock, or to ask."""
    modes = values.rng.choice((0, 1, 2, 0x4000, 0x80, 0x100, 0x8001))
    return struct.pack("=Ixxxxqqqq", modes, 1, 1, 1, 1).ljust(208, b"\0")


def sigaction(values: "Values") -> bytes:
    """The kernel's struct sigaction: ignore, default, with a restorer of nothing."""
    return struct.pack(
        "=4Q", values.rng.choice((0, 1)), values.rng.choice((0, 0x0400_0000, 0x1000_0000)), 0, 0
    )


def sigset(values: "Values") -> bytes:
    """A set of signals."""
    return struct.pack(
        "=Q", values.rng.choice((0, (1 << 64) - 1, 1 << 13, values.rng.getrandbits(64)))
    )


def sigevent(values: "Values") -> bytes:
    """struct sigevent: a signal, or none, or one to a thread."""
    return struct.pack(
        "=QiiI", 0, values.rng.choice((0, 10, 34)), values.rng.randrange(5), os.getpid()
    ).ljust(64, b"\0")


def sembuf(values: "Values") -> bytes:
    """Some of struct sembuf."""
    return b"".join(
        struct.pack("=Hhh", 0, values.rng.choice((-1, 0, 1, 32767)), 0o4000) for _ in range(4)
    )


def pollfds(values: "Values") -> bytes:
    """Some of struct pollfd."""
    return b"".join(struct.pack("=ihh", _whole(values.descriptor()), -1, 0) for _ in range(4))


def epoll_event(values: "Values") -> bytes:
    """struct epoll_event."""
    return struct.pack("=IQ", values.rng.getrandbits(32), values.rng.getrandbits(64)) + bytes(4)


def cap_header(values: "Values") -> bytes:
    """struct __user_cap_header_struct."""
    version = values.rng.choice((0x2008_0522, 0x1998_0330, 0x2007_1026, 0))
    return struct.pack("=Ii", version, values.rng.choice((0, 1, os.getpid())))


def xattr_args(values: "Values") -> bytes:
    """struct xattr_args."""
    return struct.pack(
        "=QII", values.room(), values.rng.choice((0, 8, 65536)), values.rng.randrange(3)
    )


def _whole(number: int) -> int:
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


MAKERS: "dict[str, Callable[[Values], bytes]]" = {
    make.__name__: make
    for make in (
        open_how,
        clone_args,
        mount_attr,
        sockaddr,
        msghdr,
        mmsghdr,
        message,
        bpf_attr,
        perf_attr,
        uring_params,
        sched_attr,
        ruleset,
        sched_param,
        landlock_rule,
        file_handle,
        sock_fprog,
        statmount,
        rlimit,
        timespec,
        timeval,
        timex,
        sigaction,
        sigset,
        sigevent,
        sembuf,
        pollfds,
        epoll_event,
        cap_header,
        xattr_args,
    )
}
