"""What every sandbox's file tree has, whatever runs in it: a minimal, read-only system."""

from dataclasses import dataclass

from cloche.sandbox.environ import HOME, TEMPORARY
from cloche.sandbox.mounts import (
    BindReadOnly,
    Dev,
    FileContent,
    Masked,
    MountOp,
    Proc,
    SymbolicLink,
    Tmpfs,
)
from cloche.sandbox.plan import INSIDE_GID, INSIDE_UID

MIB = 1 << 20

_PASSWD = f"user:x:{INSIDE_UID}:{INSIDE_GID}:user:{HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = f"user:x:{INSIDE_GID}:\nnogroup:x:65534:\n"
_HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 cloche\n"
# The resolver is ours, in the sandbox's own loopback; no search list, which would leak names.
_RESOLVER = "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"
# Without this, glibc could ask host daemons (systemd-resolved, mdns) over sockets.
_SWITCH = "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"

# Pieces of /etc that programs under /usr cannot do without; none holds a secret.
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "protocols", "services")
_TRUST_ROOTS = (
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/ca-certificates",
)
# Administrators put registry credentials here (npm's global configuration).
_CREDENTIALS = ("/usr/etc", "/usr/local/etc")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSystem:
    """How the host's root is laid out; read once, by the kernel.

    `links` are its top-level symbolic links into /usr, such as ("/bin", "usr/bin");
    `directories` those of /bin, /lib... that are real; `masks` the files of _CREDENTIALS that exist.
    """

    links: tuple[tuple[str, str], ...]
    directories: tuple[str, ...]
    masks: tuple[str, ...] = ()


SYSTEM_NAMES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
CREDENTIAL_PLACES = _CREDENTIALS


def system_mounts(host: HostSystem, *, memory_bytes: int, trust_roots: bool) -> tuple[MountOp, ...]:
    """Give the mounts of the minimal root: system, /etc, /dev, /proc, /tmp and HOME.

    With `trust_roots` the host's certificate authorities are shown and the
    administrator's tool configuration is not hidden: fetch steps alone.
    """
    room = min(memory_bytes // 2, 1024 * MIB)
    operations: list[MountOp] = [
        BindReadOnly(source="/usr", target="/usr"),
        *(SymbolicLink(target=target, to=to) for target, to in host.links),
        *(BindReadOnly(source=path, target=path) for path in host.directories),
        FileContent(target="/etc/passwd", content=_PASSWD.encode()),
        FileContent(target="/etc/group", content=_GROUP.encode()),
        FileContent(target="/etc/hosts", content=_HOSTS.encode()),
        FileContent(target="/etc/resolv.conf", content=_RESOLVER.encode()),
        FileContent(target="/etc/nsswitch.conf", content=_SWITCH.encode()),
        FileContent(target="/etc/hostname", content=b"cloche\n"),
        *(BindReadOnly(source=f"/etc/{n}", target=f"/etc/{n}", optional=True) for n in _ETC),
        Proc(),
        Dev(shm_bytes=min(memory_bytes // 4, 256 * MIB)),
        Tmpfs(target=TEMPORARY, size_bytes=room, inodes=100_000, mode=0o1777),
        Tmpfs(target=HOME, size_bytes=room, inodes=100_000),
    ]
    if trust_roots:
        operations += [BindReadOnly(source=p, target=p, optional=True) for p in _TRUST_ROOTS]
    else:
        operations += [Masked(target=path) for path in host.masks]
    return tuple(operations)
