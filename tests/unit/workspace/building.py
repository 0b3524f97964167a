"""What a build does to a project, done through a real overlay mount or to a plain directory.

A build is a list of deeds, each a tuple of a name and its arguments. It runs in a
child with namespaces of its own, without capabilities, and when the child is gone
so is the mount: as `cloche` itself has it before a commit.
"""

import contextlib
import ctypes
import os
import pickle
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cloche.workspace.effects import Effects
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.subtree import Subtree
from cloche.workspace.workspace import Workspace
from cloche_launch import calls

NOBODY = 65534
RULES = ScreenRules(
    max_bytes=1 << 40,
    max_file_bytes=1 << 40,
    max_entries=100_000,
    may_write=allow_all,
    may_delete=allow_all,
)
_NEW_USER, _NEW_MOUNTS = 0x1000_0000, 0x0002_0000  # linux/sched.h
_DUMPABLE = 4  # PR_SET_DUMPABLE, linux/prctl.h
_CAPABILITY_VERSION = 0x2008_0522  # linux/capability.h
_libc = ctypes.CDLL(None, use_errno=True)

_apart: list[int] = []
"""Who of us and those we were forked from made the namespaces we are in."""

Deed = tuple[Any, ...]
Seen = dict[str, tuple[Any, ...]]
_Result = TypeVar("_Result")


class Stopped(Exception):
    """The machine, or a process, went away here."""


def stop_at(limit: int) -> Effects:
    """Give effects that stop before the change after the first `limit`."""
    count = 0

    def before(_call: str, _detail: str) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise Stopped

    return Effects(before)


class ChildFailed(AssertionError):
    """What ran in a child raised; the text is its traceback."""


def stage_home() -> str | None:
    """Give a directory in memory for many small projects, None for the usual one where it will not do."""
    home = "/dev/shm"
    try:
        with tempfile.NamedTemporaryFile(dir=home) as file:
            os.setxattr(file.name, "user.overlay.origin", b"")  # on tmpfs since Linux 6.6
    except OSError:
        return None
    return home


def in_child(work: Callable[[], _Result]) -> _Result:
    """Give what `work` gives in a forked child, with what it raised or skipped raised here."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        try:
            answer = ("done", work())
        except pytest.skip.Exception as skipped:
            answer = ("skipped", str(skipped))
        except BaseException:  # noqa: BLE001 - given to who waits for it
            answer = ("failed", traceback.format_exc())
        with os.fdopen(writable, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        raw = pipe.read()
    os.waitpid(pid, 0)
    kind, value = pickle.loads(raw)
    if kind == "skipped":
        pytest.skip(value)
    if kind == "failed":
        raise ChildFailed(value)
    return value


def as_nobody(work: Callable[[], _Result]) -> _Result:
    """Give what `work` gives as an ordinary user without groups; where we are one already, as us."""

    def less() -> _Result:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            # Or /proc/self stays root's, and with it the maps of a new namespace.
            _libc.prctl(_DUMPABLE, 1, 0, 0, 0)
        return work()

    return in_child(less)


def commit(project: Path, *deeds: Deed) -> Seen:
    """Build and commit, its state beside the project; give what the overlay showed before."""
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        transaction = workspace.begin()
        shown = build(transaction, *deeds)
        transaction.commit(RULES)
    return shown


def undo(project: Path, count: int = 1) -> None:
    """Take the last commits of `commit` back."""
    with closing(Workspace.open(project, project.parent / "state")) as workspace:
        workspace.undo(count)


def own_namespaces() -> None:
    """Have a user namespace that maps us alone, and mounts of our own. Skips where refused.

    A child of who has them gets mounts alone: in a further user namespace those that it found
    would be locked, and overlayfs takes no layer with such in it.
    """
    uid, gid = os.geteuid(), os.getegid()
    if _apart:
        calls.unshare(_NEW_MOUNTS)
        return
    try:
        calls.unshare(_NEW_USER | _NEW_MOUNTS)
    except OSError as error:
        pytest.skip(f"user-namespace: {error}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _apart.append(os.getpid())


def build(transaction: Subtree, *deeds: Deed) -> Seen:
    """Do `deeds` in an overlay of the transaction, or of a part, and give what the overlay then shows."""
    return build_over(transaction.lowers, transaction.upper, transaction.new_work(), deeds)


def build_over(lowers: tuple[Path, ...], upper: Path, work: Path, deeds: Sequence[Deed]) -> Seen:
    """Do `deeds` in an overlay of `upper` over `lowers`, the topmost first."""

    def inside() -> Seen:
        own_namespaces()
        mount_overlay(lowers, upper, work, work)
        in_child(lambda: _do_without_capabilities(deeds, work))
        # Looked at in a second mount: in the first, a file copied up has another inode number
        # under its old name than under a new link to it.
        calls.unmount_detached(str(work))
        mount_overlay(lowers, upper, work, work)
        return _do_without_capabilities((), work)

    return in_child(inside)


def build_natively(root: Path, *deeds: Deed) -> Seen:
    """Do `deeds` in a plain directory, with no more rights than a build has."""
    return in_child(lambda: _do_without_capabilities(deeds, root))


def mount_overlay(
    lowers: tuple[Path, ...], upper: Path, work: Path, at: Path, options: str = "userxattr"
) -> None:
    """Mount as the launcher does, in the namespace we have."""
    layers = f"lowerdir={':'.join(map(_escaped, lowers))},upperdir={_escaped(upper)},workdir={_escaped(work)}"
    calls.mount("overlay", str(at), "overlay", 0, f"{layers},{options}")


def _escaped(path: Path) -> str:
    text = str(path)
    for character in "\\,:":
        text = text.replace(character, f"\\{character}")
    return text


def _do_without_capabilities(deeds: Sequence[Deed], root: Path) -> Seen:
    os.chdir(root)
    os.umask(0o022)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _libc.capset(header, (ctypes.c_uint32 * 6)())
    for deed in deeds:
        do(deed)
    return seen(Path("."), hidden=True)


def do(deed: Deed) -> None:
    """Do one deed in the working directory; one that the system refuses is left undone."""
    name, *arguments = deed
    with contextlib.suppress(OSError, shutil.Error):
        _DEEDS[name](*arguments)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    os.write(descriptor, content)
    os.close(descriptor)


def _append(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    os.write(descriptor, content)
    os.close(descriptor)


def _remove(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _move(old: str, new: str) -> None:
    """Move as `mv` does a directory that the overlay will not rename."""
    if not stat.S_ISDIR(os.lstat(old).st_mode):
        os.rename(old, new)
        return
    if os.path.lexists(new) or f"{new}/".startswith(f"{old}/"):
        raise FileExistsError(new)
    shutil.copytree(old, new, symlinks=True)
    shutil.rmtree(old)


def _chmod(path: str, mode: int) -> None:
    if not os.path.islink(path):
        os.chmod(path, mode)


_DEEDS: dict[str, Callable[..., None]] = {
    "write": _write,
    "append": _append,
    "mkdir": os.mkdir,
    "remove": _remove,
    "rename": os.rename,
    "move": _move,
    "link": lambda old, new: os.link(old, new, follow_symlinks=False),
    "symlink": lambda path, target: os.symlink(target, path),
    "chmod": _chmod,
    "touch": lambda path, when: os.utime(path, ns=(when, when), follow_symlinks=False),
    "setxattr": os.setxattr,
    "mkfifo": os.mkfifo,
}


def seen(root: Path, *, times: bool = True, hidden: bool = False) -> Seen:
    """Give every entry: (kind, mode, content or target, link group, mtime in nanoseconds).

    A link group goes by its first path. `hidden` takes what cannot be read as empty.
    """
    found: Seen = {}
    groups: dict[tuple[int, int], list[str]] = {}
    waiting = [""]
    while waiting:
        path = waiting.pop()
        place = os.path.join(root, path)
        status = os.lstat(place)
        kind, content = stat.S_IFMT(status.st_mode), b""
        if kind == stat.S_IFLNK:
            content = os.fsencode(os.readlink(place))
        elif kind == stat.S_IFREG:
            content = _content(place, hidden=hidden)
            groups.setdefault((status.st_dev, status.st_ino), []).append(path)
        elif kind == stat.S_IFDIR:
            waiting += _children(place, path, hidden=hidden)
        mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
        found[path] = (kind, mode, content, "", status.st_mtime_ns if times else 0)
    for paths in groups.values():
        for path in paths if len(paths) > 1 else ():
            found[path] = (*found[path][:3], min(paths), found[path][4])
    return dict(sorted(found.items()))


def assert_committed_and_taken_back(
    workspace: Workspace, project: Path, plain: Path, *, shown: Seen, native: Seen, before: Seen
) -> None:
    """See that a commit is what was `shown` and what the `plain` directory has, and that undo gives `before`."""
    found = build_natively(project)
    assert without_times(found) == without_times(native)
    if workspace.history():
        assert found == shown
        assert without_times(seen(project, hidden=True)) == without_times(seen(plain, hidden=True))
        workspace.undo()
    assert seen(project, hidden=True) == before


def without_times(found: Seen) -> Seen:
    """Give what `seen` gave, mtimes aside."""
    return {path: (*entry[:4], 0) for path, entry in found.items()}


def _children(place: str, path: str, *, hidden: bool) -> list[str]:
    try:
        names = os.listdir(place)
    except PermissionError:
        if not hidden:
            raise
        return []
    if hidden and not os.access(place, os.X_OK, effective_ids=True):
        return []
    return [f"{path}/{name}" if path else name for name in names]


def _content(place: str, *, hidden: bool) -> bytes:
    try:
        return Path(place).read_bytes()
    except PermissionError:
        if not hidden:
            raise
        return b""
