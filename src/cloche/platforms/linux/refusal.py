"""Who refused a sandbox, and how to mend it: facts read at once, the answer decided from them alone."""

import os
from dataclasses import dataclass
from pathlib import Path

from cloche_launch.abi import MOUNT_ATTR_IDMAP

_CAP_SYS_ADMIN = 1 << 21  # linux/capability.h
_KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_CLONE = "kernel.unprivileged_userns_clone"  # Debian's own, gone from its newer kernels
_WHOLE = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the kernel says about this process and what is around it."""

    is_root: bool
    owns_machine: bool = True
    """All users of the machine are mapped here: no user namespace is around this process."""
    is_mapped: bool = True
    """The user and group of this process have a name in its user namespace."""
    in_chroot: bool = False
    can_administer: bool = True
    is_filtered: bool = False
    """A seccomp filter is in force."""
    exhausted: tuple[str, ...] = ()
    """The settings user.max_..._namespaces that are 0."""
    userns_clone: str = ""
    apparmor_restricts: str = ""
    label: str = ""
    """The AppArmor or SELinux label that confines this process, "" when none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Which layer refused, in its own terms, and how to mend it."""

    why: str
    mend: str


def who_refused(call: str, detail: str, around: Circumstances) -> Refusal:
    """Name the layer that refused the system call `call`, as well as can be told."""
    text = detail if detail.startswith(call) else f"{call}: {detail}"
    found = _settings(call, detail, around) or _place(call, detail, around) or _filters(around)
    if found is None:
        return Refusal(
            why=f"the kernel refused {text}",
            mend="use Linux 5.12 or newer with namespaces and overlayfs, and no chroot",
        )
    return Refusal(why=f"{found.why} ({text})", mend=found.mend)


def _settings(call: str, detail: str, around: Circumstances) -> Refusal | None:
    """Blame a setting of the kernel."""
    if around.exhausted:
        names = " and ".join(around.exhausted)
        return Refusal(
            why=f"{names} = 0 forbids namespaces to everybody",
            mend=f"sysctl -w {around.exhausted[0]}=15000",
        )
    if call == "clone3" and "(ENOSPC)" in detail:
        return Refusal(
            why="there are as many namespaces as user.max_user_namespaces and its like allow, "
            "here or in what is around this container",
            mend="sysctl -w user.max_user_namespaces=15000, on the machine itself",
        )
    if not around.is_root and around.userns_clone == "0":
        return Refusal(
            why=f"{_CLONE} = 0 forbids user namespaces to ordinary users",
            mend=f"sysctl -w {_CLONE}=1",
        )
    if not around.is_root and around.apparmor_restricts == "1":
        return Refusal(
            why=f"AppArmor takes user namespaces from ordinary users: {_APPARMOR} = 1",
            mend=f"sysctl -w {_APPARMOR}=0, or load a profile for this Python that allows userns",
        )
    return None


def _place(call: str, detail: str, around: Circumstances) -> Refusal | None:
    """Blame where this process runs."""
    if call == "clone3" and around.in_chroot:
        return Refusal(
            why="the kernel gives no user namespace inside a chroot",
            mend="enter the tree with systemd-nspawn or another container in place of chroot",
        )
    if not around.is_mapped:
        return Refusal(
            why="the user or group of this process has no mapping in its user namespace",
            mend="start as a user that /proc/self/uid_map and gid_map name",
        )
    if around.is_root and not around.owns_machine:
        return Refusal(
            why="this root is one of a user namespace, as in a rootless container, not the machine's",
            mend="start as an ordinary user of the container",
        )
    if "(proc at" in detail:
        return Refusal(
            why="where parts of /proc are covered, as in a container, the kernel mounts no new one",
            mend="start the container with --security-opt systempaths=unconfined",
        )
    if "(overlay at" in detail:
        return Refusal(
            why="the file system of the state directory carries no overlay",
            mend="set XDG_STATE_HOME to a directory on ext4, xfs, btrfs or tmpfs, not on overlayfs; "
            "Linux 5.12 or newer, 5.19 for a start by root",
        )
    if call == "mount_setattr" and f"({MOUNT_ATTR_IDMAP:#x})" in detail and "(EINVAL)" in detail:
        return Refusal(
            why="the file system of the project or of the state directory maps no identities, "
            "which a start by root needs",
            mend="keep both on ext4, xfs or btrfs (tmpfs from Linux 6.3 on), or start as an "
            "ordinary user",
        )
    return None


def _filters(around: Circumstances) -> Refusal | None:
    """Blame what is put around this process."""
    if around.is_filtered:
        return Refusal(
            why="a seccomp filter around this process, such as a container's default, refuses",
            mend="start the container with --security-opt seccomp=unconfined --security-opt "
            "apparmor=unconfined --security-opt systempaths=unconfined",
        )
    if around.is_root and not around.can_administer:
        return Refusal(
            why="this root lacks CAP_SYS_ADMIN, as in most containers",
            mend="start as an ordinary user, or the container with --cap-add SYS_ADMIN",
        )
    if around.label:
        return Refusal(
            why=f"the security module confines this process as {around.label!r}",
            mend="start the container with --security-opt apparmor=unconfined, or load a profile "
            "that allows userns and mount",
        )
    return None


def read_circumstances() -> Circumstances:
    """Look at /proc; what cannot be read is taken for what an open machine would say."""
    status = dict(line.split(":", 1) for line in _read("/proc/self/status").splitlines() if line)
    users, groups = (_ranges(_read(f"/proc/self/{kind}_map")) for kind in ("uid", "gid"))
    limits = [f"max_{kind}_namespaces" for kind in _KINDS]
    mounts = _read("/proc/self/mountinfo").splitlines()
    label = _read("/proc/self/attr/current").strip("\0\n")
    return Circumstances(
        is_root=os.geteuid() == 0,
        owns_machine=sum(len(span) for span in users) >= _WHOLE - 1,
        is_mapped=any(os.geteuid() in span for span in users)
        and any(os.getegid() in span for span in groups),
        in_chroot=bool(mounts) and all(line.split()[4] != "/" for line in mounts),
        can_administer=bool(int(status.get("CapEff", "f" * 16), 16) & _CAP_SYS_ADMIN),
        is_filtered=status.get("Seccomp", "0").strip() == "2",
        exhausted=tuple(
            f"user.{name}" for name in limits if _read(f"/proc/sys/user/{name}") == "0"
        ),
        userns_clone=_read("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_restricts=_read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        label="" if label.startswith("unconfined") else label,
    )


def _ranges(text: str) -> list[range]:
    """Read a map of user_namespaces(7): what is mapped, as this process sees it."""
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    return [range(first, first + count) for first, _, count in rows]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
