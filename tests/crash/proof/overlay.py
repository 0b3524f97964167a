"""A function run inside a real overlay over the project, in a user namespace of its own."""

import ctypes
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CLONE_NEWUSER, _CLONE_NEWNS = 0x1000_0000, 0x2_0000  # linux/sched.h
_MS_PRIVATE = 0x4_4000  # MS_REC | MS_PRIVATE, linux/mount.h
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


def in_child(function: Callable[[], Any]) -> Any:
    """Run in a forked child and give what it returned, pickled; what it raised is raised here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            try:
                said = (True, function())
            except BaseException:  # noqa: BLE001 - handed to the parent, whatever it is
                said = (False, traceback.format_exc())
            with os.fdopen(writing, "wb") as file:
                pickle.dump(said, file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        raw = file.read()
    os.waitpid(pid, 0)
    held, result = pickle.loads(raw) if raw else (False, "the child died")
    if not held:
        raise RuntimeError(result)
    return result


def enter_namespace() -> None:
    """Become root of a new user namespace, which may read every file of ours, whatever its mode."""
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _check(_libc.mount(None, b"/", None, _MS_PRIVATE, None), "mount private")


def inside(
    project: Path, upper: Path, work: Path, view: Path, function: Callable[[Path], Any]
) -> Any:
    """Give what `function` returns, run at the merged view; the project is named as "." below it."""

    def run() -> Any:
        enter_namespace()
        os.chdir(project)  # so that its path needs no escaping
        options = f"lowerdir=.,upperdir={upper},workdir={work},userxattr,volatile"
        mounted = _libc.mount(b"overlay", os.fsencode(view), b"overlay", 0, os.fsencode(options))
        _check(mounted, "mount overlay")
        os.chdir(view)
        try:
            return function(Path())
        finally:
            os.chdir("/")
            _check(_libc.umount2(os.fsencode(view), 0), "umount")

    return in_child(run)
