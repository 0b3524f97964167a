"""Things of the user who starts the sandbox, laid out to be looked at: none may change."""

import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.host import text
from tests.fuzz.watch import Facet

from cloche_redteam import libc, shared
from cloche_redteam.attack import Unable

KEEPER = Path(__file__).with_name("keeper.py")
SOURCE = Path(__file__).resolve().parents[2] / "src"
_TOLD = (
    *("Name", "Umask", "TracerPid", "Uid", "Gid", "Groups", "SigPnd", "ShdPnd", "SigBlk", "SigIgn"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Cpus_allowed"),
    *("Mems_allowed", "THP_enabled", "Speculation_Store_Bypass"),
)
_FIELDS = {
    "group": 2,
    "session": 3,
    "terminal": 4,
    "nice": 16,
    "started": 19,
    "priority": 37,
    "policy": 38,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Where everything is, as keeper.py told it."""

    pid: int
    uid: int
    tree: str
    abstract: str
    ipc_key: int
    segment: int
    semaphore: int
    messages: int
    queue: str
    key: int
    watcher: int
    """The process that watches: this one."""

    @property
    def stage(self) -> Path:
        """Where the sandbox's project lies, and its changes."""
        return Path(self.tree) / "stage"

    def facets(self) -> dict[str, Facet]:
        """Give what is watched of it."""
        return {
            "files": self.files,
            "processes": self.processes,
            "objects": self.objects,
            "keys": self.keys,
            "sockets": self.sockets,
            "locks": self.locks,
        }

    def files(self) -> dict[str, str]:
        """Content, mode, owner, links, attributes and times of each file, but what the sandbox changed."""
        found = {}
        for top, directories, names in os.walk(self.tree):
            directories[:] = [name for name in directories if f"{top}/{name}" != f"{self.stage}/tx"]
            for name in (".", *names, *directories):
                path = f"{top}/{name}"
                if path not in {f"{self.stage}/.", str(self.stage)}:
                    with contextlib.suppress(FileNotFoundError):
                        found[path] = _file(path)
        return found

    def processes(self) -> dict[str, str]:
        """The canary's own process, ours, and the first one of the machine."""
        found = {}
        for pid in (self.pid, self.watcher, 1):
            found |= {f"{pid} {name}": value for name, value in _process(pid).items()}
        return found

    def objects(self) -> dict[str, str]:
        """System V's objects and the POSIX queue, with what is in them."""
        found = {}
        for kind, identity in (
            ("shm", self.segment),
            ("sem", self.semaphore),
            ("msg", self.messages),
        ):
            rows = [line.split() for line in text(f"/proc/sysvipc/{kind}").splitlines()]
            restless = (
                {"rss", "swap", "atime", "dtime", "lpid", "nattch"} if kind == "shm" else set()
            )
            for row in rows[1:]:
                named = dict(zip(rows[0], row, strict=False))
                if int(row[1]) == identity:
                    kept = {name: value for name, value in named.items() if name not in restless}
                    found[kind] = " ".join(f"{name}={value}" for name, value in kept.items())
        found["memory"] = _asked(lambda: shared.read_memory(self.segment, 16).hex())
        found["semaphore"] = _asked(lambda: str(shared.read_semaphore(self.ipc_key)))
        found["queue"] = _asked(self._queue)
        return found

    def _queue(self) -> str:
        opened = shared.open_named_queue(self.queue, os.O_RDONLY | os.O_NONBLOCK)
        try:
            seen = os.fstat(opened)
            return f"{os.read(opened, 200)!r} {seen.st_mode:o} {seen.st_uid}"  # mq_overview(7)
        finally:
            os.close(opened)

    def keys(self) -> dict[str, str]:
        """The keys that we may see, and what the canary's holds."""
        found = {"canary": _asked(lambda: shared.read_key(self.key).hex())}
        for line in text("/proc/keys").splitlines():
            words = line.split(maxsplit=8)
            if len(words) == 9:
                content = words[8].rpartition(":")[0] if words[7] == "keyring" else words[8]
                found[words[0]] = " ".join((*words[4:8], content))
        return found

    def sockets(self) -> dict[str, str]:
        """The canary's abstract socket, and whether anybody waits at it."""
        lines = text("/proc/self/net/unix").splitlines()
        return {
            f"@{self.abstract} {line.split()[6]}": " ".join(line.split()[2:6])
            for line in lines
            if self.abstract in line
        }

    def locks(self) -> dict[str, str]:
        """Who holds the canary's files locked, or waits for them."""
        inodes = {str(os.stat(f"{self.tree}/{name}").st_ino) for name in ("secret", "open")}
        rows = [line.split()[1:] for line in text("/proc/locks").splitlines()]
        return {
            " ".join(row): "held"
            for row in rows
            if inodes & {word.rpartition(":")[2] for word in row}
        }


@contextmanager
def laid_out(python: tuple[str, ...], source: str = "") -> Iterator[Canary]:
    """Lay a canary for a block, as the user whom the command `python` makes one."""
    keeper = subprocess.Popen(
        [*python, "-P", "-c", KEEPER.read_text(encoding="utf-8")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": source or str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert keeper.stdout is not None
    try:
        yield Canary(**json.loads(keeper.stdout.readline()), watcher=os.getpid())
    finally:
        keeper.send_signal(signal.SIGCONT)  # a sandbox that could stop it is what we look for
        keeper.communicate(timeout=30)


def _file(path: str) -> str:
    seen = os.lstat(path)
    words = [
        f"{seen.st_mode:o}",
        seen.st_uid,
        seen.st_gid,
        seen.st_nlink,
        seen.st_size,
        seen.st_mtime_ns,
        seen.st_ctime_ns,
    ]
    if stat.S_ISREG(seen.st_mode):
        with contextlib.suppress(OSError):
            words.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
    with contextlib.suppress(OSError):
        words += [f"{name}={os.getxattr(path, name).hex()}" for name in os.listxattr(path)]
    return " ".join(map(str, words))


def _process(pid: int) -> dict[str, str]:
    fields = text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not fields:
        return {"state": "gone"}
    lines = [line.partition(":") for line in text(f"/proc/{pid}/status").splitlines()]
    found = {name: value.strip() for name, _, value in lines if name in _TOLD}
    found |= {name: fields[at] for name, at in _FIELDS.items()}
    found["state"] = "stopped or dead" if fields[0] in "TtZX" else "goes"
    for name in (
        "oom_score_adj",
        "limits",
        "cgroup",
        "coredump_filter",
        "timerslack_ns",
        "loginuid",
    ):
        found[name] = text(f"/proc/{pid}/{name}")
    with contextlib.suppress(OSError):
        found["mounts"] = os.readlink(f"/proc/{pid}/ns/mnt")
    found["io priority"] = _asked(lambda: str(libc.syscall(libc.number(252, 31), 1, pid)))
    return found


def _asked(question: Facet) -> str:
    try:
        return str(question())
    except (OSError, Unable) as error:
        return f"refused: {error}"
