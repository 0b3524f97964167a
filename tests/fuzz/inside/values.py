"""Arguments of system calls, made by chance: right, almost right, or noise."""

import ctypes
import mmap
import random
import struct

from inside import bits, places, structures

_SIZES = (
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 24, 31, 32, 56, 63, 64, 72, 88, 104, 112, 120, 128, 255, 256),
    *(511, 512, 1023, 1024, 4095, 4096, 4097, 8192, 65_535, 65_536),
)
_LIMITS = (
    *(65_537, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, -1),
    *(-4096, 0x7FFF_F000),
)
_ARENA, _LARGEST = 1 << 20, 1 << 16
_AT_FDCWD = -100
_XATTRS = (
    *(b"user.cloche", b"user.overlay.opaque", b"user.overlay.redirect", b"user.overlay.whiteout"),
    *(b"trusted.overlay.opaque", b"trusted.x", b"security.capability", b"security.selinux"),
    *(
        b"security.ima",
        b"system.posix_acl_access",
        b"system.posix_acl_default",
        b"user." + b"x" * 260,
    ),
)
_FILE_SYSTEMS = (
    *(
        b"proc",
        b"sysfs",
        b"tmpfs",
        b"devtmpfs",
        b"overlay",
        b"ext4",
        b"cgroup",
        b"cgroup2",
        b"mqueue",
    ),
    *(
        b"bpf",
        b"debugfs",
        b"tracefs",
        b"securityfs",
        b"fuse",
        b"devpts",
        b"ramfs",
        b"nsfs",
        b"binder",
    ),
)


class Values:
    """The arguments of one series of calls; the same for the same seed, as far as the kernel answers alike."""

    def __init__(self, rng: random.Random, bait: "dict[str, str]") -> None:
        self.rng = rng
        self.bait = bait
        self.descriptors = [0, 1, 2]
        self.focus: int | None = None
        """The descriptor that calls are mostly made on, while one is looked at."""
        self.sockets: list[int] = []
        self.identities = [0]
        """What calls gave back that is no descriptor: segments, watches, keys of memory."""
        self.children = [0]
        self._arena = mmap.mmap(-1, _ARENA)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._arena))
        # What the kernel writes past the end is not to reach the counts, which lie above.
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(self._base + _ARENA - 4096), 4096, 0)
        self._used = 0
        self.regions = [self._base, self._base + 4096]

    def make(self, kind: str) -> int:
        """Give an argument of a kind of `table.py`; now and then of no kind at all."""
        if self.chance(0.02):
            return self.noise()
        if kind in structures.MAKERS:
            if self.chance(0.1):
                return 0  # left out: for many calls that is another question
            return self.pointer_to(structures.MAKERS[kind](self))
        if kind in bits.CHOICES:
            return self.rng.choice(bits.CHOICES[kind])
        if kind in bits.FLAGS:
            return self.bits(kind)
        return int(getattr(self, kind)())

    def chance(self, share: float) -> bool:
        """Say yes so often."""
        return self.rng.random() < share

    def place(self, content: bytes) -> int:
        """Put bytes into memory; give where."""
        if self._used + len(content) + 16 > _ARENA - _LARGEST:
            self._used = 0
        at = self._base + self._used
        ctypes.memmove(at, content, len(content))
        self._used += (len(content) + 31) & ~15
        return at

    def pointer_to(self, content: bytes) -> int:
        """Give a pointer to bytes, now and then spoilt, or to their end."""
        if self.chance(0.05):
            at = self.rng.randrange(len(content) or 1)
            content = content[:at] + self.rng.randbytes(8) + content[at + 8 :]
        return self.place(content) if self.chance(0.97) else self.bad_pointer()

    def bad_pointer(self) -> int:
        """Give a pointer to nothing, or to what is the kernel's."""
        return self.rng.choice(
            (0, 1, -1, -4096, 0x1000, 0xFFFF_8880_0000_0000 - (1 << 64), 1 << 47)
        )

    def room(self) -> int:
        """Give a place that the kernel may write to."""
        return self._base + _ARENA - _LARGEST + 16 * self.rng.randrange(64)

    def bits(self, kind: str) -> int:
        """Put flags together: mostly one or two that are known, seldom any."""
        known = bits.FLAGS[kind]
        if self.chance(0.06):
            return self.rng.getrandbits(32)
        value = self.rng.choice(known)
        while self.chance(0.45):
            value |= self.rng.choice(known)
        return value

    def noise(self) -> int:
        """Give anything."""
        which = self.rng.randrange(7)
        if which < 2:
            return self.rng.choice((0, 1, -1, 2, 3, 4096, 1 << 31, 1 << 32, -(1 << 31)))
        if which == 2:
            return self.rng.getrandbits(64)
        if which == 3:
            return self.place(self.rng.randbytes(64))
        if which == 4:
            return self.descriptor()
        return self.path() if which == 5 else self.rng.getrandbits(self.rng.randrange(1, 33))

    def descriptor(self) -> int:
        """Give a descriptor: the one that is looked at, one of those that are open, or none."""
        if self.focus is not None and self.chance(0.7):
            return self.focus
        if self.chance(0.9):
            return self.rng.choice(self.descriptors)
        return (
            self.rng.choice((-1, _AT_FDCWD, 1 << 30, 99, -2))
            if self.chance(0.5)
            else self.rng.randrange(64)
        )

    fd = descriptor

    def socket(self) -> int:
        """Give a descriptor that is most likely a socket."""
        if self.sockets and self.chance(0.7):
            return self.rng.choice(self.sockets)
        return self.descriptor()

    def dirfd(self) -> int:
        return _AT_FDCWD if self.chance(0.5) else self.descriptor()

    def newfd(self) -> int:
        return self.rng.randrange(3, 64) if self.chance(0.9) else self.noise()

    def size(self) -> int:
        return self.rng.choice(_SIZES) if self.chance(0.95) else self.rng.choice(_LIMITS)

    def length(self) -> int:
        return (
            self.rng.choice((0, 1, 4095, 4096, 8192, 65_536, 1 << 20))
            if self.chance(0.9)
            else self.size()
        )

    def offset(self) -> int:
        return self.rng.choice((0, 0, 0, 1, 4096)) if self.chance(0.8) else self.rng.choice(_LIMITS)

    page = offset

    def small(self) -> int:
        return self.rng.randrange(-1, 12)

    def flag(self) -> int:
        """Give the flags of a call that knows few: mostly none, or close-on-exec and not to wait."""
        return self.rng.choice((0, 0, 0, 0x800, 0x8_0000, 0x8_0800, 1, 2, self.rng.getrandbits(32)))

    def ruleset_size(self) -> int:
        return self.rng.choice((8, 16, 24, 24, 32, 0, 4096))

    def id(self) -> int:
        return self.rng.choice(self.identities) if self.chance(0.6) else self.rng.randrange(-1, 4)

    def out(self) -> int:
        return self.room() if self.chance(0.96) else self.bad_pointer()

    def data(self) -> int:
        return self.pointer_to(self.rng.randbytes(self.rng.choice((8, 16, 64, 256))))

    def pointer(self) -> int:
        return (
            0 if self.chance(0.5) else self.pointer_to(struct.pack("=q", self.rng.choice(_SIZES)))
        )

    def words(self) -> int:
        count = self.rng.choice((1, 2, 4))
        return self.pointer_to(
            struct.pack(f"={count}q", *(self.rng.randrange(-1, 256) for _ in range(count)))
        )

    def vectors(self, count: int) -> int:
        pieces = (
            struct.pack("=Qq", self.room(), self.rng.choice(_SIZES[:20])) for _ in range(count)
        )
        return self.place(b"".join(pieces))

    def iovec(self) -> int:
        return self.vectors(4) if self.chance(0.95) else self.data()

    def address(self) -> int:
        if self.chance(0.7):
            return self.rng.choice(self.regions)
        return self.rng.choice((0, 4096, 0x1000_0000)) if self.chance(0.8) else self.noise()

    def stack(self) -> int:
        return 0 if self.chance(0.9) else self.room()

    def uid(self) -> int:
        return self.rng.choice((0, 1000, 1000, 1000, -1, -1, 65534, 0x7000_0000, 1 << 31))

    def pid(self) -> int:
        """Give a process: mostly this one or none; seldom the one that counts, or all."""
        if self.chance(0.95):
            return self.rng.choice((0, 0, 0, 1, self._own(), self._own(), 99_999, *self.children))
        every = -1 if self.chance(0.05) else 1  # all: whoever started this worker as well
        return self.rng.choice((every, int(self.bait["host_pid"]), *range(3, 12)))

    def _own(self) -> int:
        return int(self.bait["worker"])

    def signal(self) -> int:
        return self.rng.choice((0, 0, 0, 1, 2, 10, 17, 18, 23, 28, 34, 64, 65, 9, 19, 11))

    def path(self) -> int:
        return self.pointer_to(self.text_path() + b"\0")

    def text_path(self) -> bytes:
        return places.path(self.rng, self.bait)

    def newpath(self) -> int:
        """Give a name to make: mostly below what may be written, and of a kind that is known again."""
        if self.chance(0.15):
            return self.path()
        return self.pointer_to(places.new_path(self.rng) + b"\0")

    def name(self) -> int:
        return self.pointer_to(
            self.rng.choice((b"cloche-fuzz", b"cloche-fuzz" * 30, b"", b"/cloche-fuzz", b"a/b"))
            + b"\0"
        )

    def abstract_name(self) -> bytes:
        named = (
            b"cloche-fuzz-%d" % self.rng.randrange(9),
            self.bait["abstract"].encode(),
            b"/tmp/.X11-unix/X0",
        )
        return self.rng.choice(named)

    def key(self) -> int:
        """Give a System V key: the canary's on the host, or one to be known again."""
        return self.rng.choice(
            (int(self.bait["key"]), int(self.bait["key"]), 0xC10C_0000 + self.rng.randrange(9), 0)
        )

    def key_type(self) -> int:
        return self.pointer_to(
            self.rng.choice((b"user", b"keyring", b"logon", b"big_key", b"asymmetric")) + b"\0"
        )

    def xattr(self) -> int:
        return self.pointer_to(self.rng.choice(_XATTRS) + b"\0")

    def file_system(self) -> int:
        return self.pointer_to(self.rng.choice(_FILE_SYSTEMS) + b"\0")

    def mount_data(self) -> int:
        return self.pointer_to(
            self.rng.choice((b"", b"size=1m", b"lowerdir=/:/usr,upperdir=/tmp,workdir=/tmp"))
            + b"\0"
        )

    def strings(self) -> int:
        """Give a list of arguments or variables."""
        words = [
            self.place(word + b"\0")
            for word in (b"cloche-fuzz", b"LD_PRELOAD=/tmp/x", b"-c", b"exit")
        ]
        return self.place(struct.pack("=4Q", *words)[: 8 * self.rng.randrange(5)].ljust(40, b"\0"))

    def port(self) -> int:
        return self.rng.choice((0, 1, 22, 53, 80, 1024, 8080, 65_535))

    def socklen(self) -> int:
        return self.rng.choice((16, 16, 28, 110, 12, 0, 1, 2, 128, 129, -1))

    def pair(self) -> int:
        return self.room()

    def fcntl_argument(self) -> int:
        return self.rng.choice((self.small, self.data, self.noise, self.pid, self.descriptor))()

    def ioctl_argument(self) -> int:
        return self.rng.choice(
            (self.out, self.data, self.data, self.small, self.words, self.descriptor, self.request)
        )()

    def request(self) -> int:
        """struct ifreq, of the loopback or of an interface to be made."""
        name = self.rng.choice((b"lo", b"eth0", b"cloche-fuzz0"))
        return self.pointer_to(name.ljust(16, b"\0") + self.rng.randbytes(24))

    def prctl_argument(self) -> int:
        return self.rng.choice((self.small, self.small, self.data, self.pid, self.noise))()

    def ioctl(self) -> int:
        """Give a request: known, with bits above those that are looked at, or any."""
        known = self.rng.choice(bits.CHOICES["requests"])
        return known if self.chance(0.9) else known | self.rng.getrandbits(31) << 32
