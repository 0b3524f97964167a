"""`python -m tests.fuzz.calls SECONDS [SEED]`: random system calls inside, and the host watched for changes.

Each identity that this user can take, two for root, starts sandboxes for so long.
Ends with 1 when anything of the host changed, or is left afterwards. A seed
makes the same calls again, as far as the kernel answers alike.
"""

import base64
import contextlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.fuzz import host
from tests.fuzz.canary import Canary, laid_out
from tests.fuzz.inside.tally import FIELDS
from tests.fuzz.watch import Watch

from cloche.platforms.linux.cgroup import Owner
from cloche_launch import profile
from cloche_launch.numbers import TABLES

ROOT = Path(__file__).resolve().parents[2]
JAIL = ROOT / "tests/contain/jail.py"
PYTHON = "/usr/bin/python3"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
PIECE_SECONDS = 15.0
"""One sandbox's life: one that a call ended early is followed by another."""
_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 30.0
_BOOT = """
import base64, os, sys
memory = os.memfd_create("calls")
os.write(memory, base64.b85decode(sys.argv.pop(1)))
sys.path.insert(0, "/proc/self/fd/%d" % memory)
import runpy
runpy.run_module("inside", run_name="__main__", alter_sys=False)
"""
_JUDGED = (
    "clone",
    "socket",
    "socketpair",
    "ioctl",
    "prctl",
    "personality",
    "setrlimit",
    "prlimit64",
)


@dataclass(slots=True, kw_only=True)
class Found:
    """What one identity's sandboxes did, and what became of the host."""

    seed: str
    changes: list[str] = field(default_factory=list)
    pieces: int = 0
    workers: int = 0
    spoilt: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)
    calls: dict[int, Counter[str]] = field(default_factory=dict)
    watched: int = 0

    def add(self, report: dict[str, Any]) -> None:
        """Add up what a program inside says of itself. Raises ValueError: its memory was anybody's."""
        rows = {int(number): [int(word) for word in row] for number, row in report["calls"].items()}
        self.workers += int(report["workers"])
        self.spoilt += int(report["spoilt"])
        self.ends.update({str(word): int(count) for word, count in report["ends"].items()})
        self.foreign.update({str(word): int(count) for word, count in report["foreign"].items()})
        for number, row in rows.items():
            counted = self.calls.setdefault(number, Counter())
            counted.update(dict(zip(FIELDS, row, strict=True)))

    def total(self, name: str) -> int:
        """Sum one field over all calls."""
        return sum(row[name] for row in self.calls.values())

    def distinct(self, name: str) -> int:
        """Count the numbers of which a field is not zero."""
        return sum(1 for row in self.calls.values() if row[name])

    def passed(self) -> int:
        """Count the calls that the filter let by: those it judges by arguments when they were not EPERM."""
        numbers = TABLES[os.uname().machine]
        allowed = {
            numbers.get(name) for group in profile.ALLOWED.values() for name in group.split()
        }
        judged = {numbers.get(name) for name in _JUDGED}
        return sum(
            row["made"] - (row["EPERM"] if number in judged else 0)
            for number, row in self.calls.items()
            if number in allowed | judged
        )

    def lines(self) -> list[str]:
        """Give the table of it."""
        made = self.total("made")
        answered = sum(self.total(name) for name in FIELDS[1:])
        rows = [(name, self.total(name), self.distinct(name)) for name in FIELDS]
        rows.append(("no answer", made - answered, 0))
        rows.append(("passed the filter", self.passed(), 0))
        table = [
            f"  {name:18} {count:>10} {100 * count / max(made, 1):5.1f} %  {f'{kinds} numbers' if kinds else ''}"
            for name, count, kinds in rows
        ]
        head = f"  seed {self.seed}: {self.pieces} sandboxes, {self.workers} workers, {self.watched} things watched"
        return [
            head,
            *table,
            f"  foreign: {dict(self.foreign)}",
            f"  ends: {dict(self.ends.most_common(9))}",
        ]


def fuzz(jail: tuple[str, ...], source: str, *, seconds: float, seed: str) -> Found:
    """Make random calls for so long in sandboxes that the command `jail` starts, until a change is seen."""
    found = Found(seed=seed)
    began, until = time.time(), time.monotonic() + seconds
    with laid_out(jail[:-1], source) as canary:
        # What is made once and kept is there when the watch begins.
        _sandbox(jail, source, canary, ("true",), 10, lambda: None)
        watch = Watch({**host.machine(), **canary.facets()})
        found.watched = sum(watch.sees().values())
        while not found.changes and (left := until - time.monotonic()) > 0:
            piece = min(max(left, 1.0), PIECE_SECONDS)
            argv = _argv(f"{seed}.{found.pieces}", piece, canary)
            found.pieces += 1

            def look() -> None:
                found.changes += [f"meanwhile: {change}" for change in watch.changes()]

            said, left_over = _sandbox(jail, source, canary, argv, piece, look)
            found.changes += [*watch.changes(), *left_over]
            report = _last_report(said)
            if report is not None:
                with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                    found.add(report)
        found.changes += host.system_files(began)
    found.changes = list(dict.fromkeys(found.changes))
    return found


def _argv(seed: str, seconds: float, canary: Canary) -> tuple[str, ...]:
    bait = {
        "tree": canary.tree,
        "host_pid": str(canary.pid),
        "abstract": canary.abstract,
        "key": str(canary.ipc_key),
    }
    return (PYTHON, "-I", "-S", "-c", _BOOT, _archive(), seed, str(seconds), json.dumps(bait))


def _archive() -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((ROOT / "tests/fuzz/inside").glob("*.py")):
            archive.writestr(f"inside/{file.name}", file.read_bytes())
        for name in ("__init__.py", "numbers.py"):
            content = (ROOT / "src/cloche_launch" / name).read_bytes()
            archive.writestr(f"cloche_launch/{name}", content)
    return base64.b85encode(packed.getvalue()).decode()


def _sandbox(
    jail: tuple[str, ...],
    source: str,
    canary: Canary,
    argv: tuple[str, ...],
    seconds: float,
    look: Callable[[], None],
) -> tuple[str, list[str]]:
    """Run one sandbox on the canary's project, looking now and then; (what was said, what is left)."""
    limits = {
        "wall_seconds": seconds + _GRACE_SECONDS / 2,
        "output_bytes": 32 << 20,
        "file_bytes": 4 << 20,
    }
    request = {"argv": argv, "stage": str(canary.stage), "limits": limits}
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin",
        "HOME": "/nonexistent",
        "PYTHONPATH": source or str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        Namespaces() as namespaces,
    ):
        process = subprocess.Popen(
            [*jail, json.dumps(request)], stdout=output, stderr=errors, env=environment, cwd="/"
        )
        until = time.monotonic() + seconds + _GRACE_SECONDS
        while process.poll() is None:
            if time.monotonic() > until:
                process.kill()
                raise AssertionError(f"the sandbox did not end {_GRACE_SECONDS} s after its time")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
            namespaces.find(process.pid)
            look()
        left_over = remains(process.pid, namespaces.numbers)
        for file in (output, errors):
            file.seek(0)
        assert process.returncode == 0, errors.read().decode()[-2000:]
        answer = json.loads(output.read())
    _sweep(canary)
    return str(answer["stderr"]), left_over


def _sweep(canary: Canary) -> None:
    """Remove the changes: a layer is not mounted twice."""
    changes = canary.stage / "tx"
    for directory in (changes, changes / "up", changes / "work/work"):
        with contextlib.suppress(OSError):
            directory.chmod(0o700)
    shutil.rmtree(changes, ignore_errors=True)


def _last_report(said: str) -> dict[str, Any] | None:
    for line in reversed(said.splitlines()):
        with contextlib.suppress(ValueError):
            report = json.loads(line)
            if isinstance(report, dict) and "calls" in report:
                return report
    return None


class Namespaces:
    """The pid namespaces below a process, held open so that none of their numbers is given again."""

    def __init__(self) -> None:
        self.numbers: set[str] = set()
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def find(self, pid: int) -> None:
        """Hold those of the processes that `pid` started, and they in turn."""
        own, known = os.readlink("/proc/self/ns/pid"), {pid}
        for each in sorted(map(int, filter(str.isdecimal, os.listdir("/proc")))):
            fields = host.text(f"/proc/{each}/stat").rpartition(")")[2].split()
            if not fields or int(fields[1]) not in known:
                continue
            known.add(each)
            with contextlib.suppress(OSError):
                number = os.readlink(f"/proc/{each}/ns/pid")
                if number not in self.numbers | {own}:
                    self._held.callback(os.close, os.open(f"/proc/{each}/ns/pid", os.O_RDONLY))
                    self.numbers.add(number)


def remains(pid: int, namespaces: set[str]) -> list[str]:
    """Name the processes and groups of a sandbox that is over; `pid` started it."""
    found = []
    for each in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{each}/ns/pid") in namespaces:
                found.append(f"left: process {each}: {host.text(f'/proc/{each}/cmdline')[:200]!a}")
    for top, names, _ in os.walk("/sys/fs/cgroup"):
        owners = ((name, Owner.find_in(name)) for name in names)
        found += [
            f"left: group {top}/{name}" for name, owner in owners if owner and owner.pid == pid
        ]
    return found


@contextmanager
def starts() -> Iterator[dict[str, tuple[tuple[str, ...], str]]]:
    """Give how each identity that this user can take starts the jar: (the command, where its source lies)."""
    own = (sys.executable, str(JAIL)), str(ROOT / "src")
    if os.geteuid() != 0:
        yield {"ordinary": own}
        return
    with tempfile.TemporaryDirectory(prefix="cloche-public-") as name:
        public = Path(name)
        public.chmod(0o755)
        shutil.copytree(ROOT / "src", public / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(JAIL, public / "jail.py")
        python = os.path.realpath(sys.executable)
        yield {
            "root": own,
            "ordinary": ((*NOBODY, python, str(public / "jail.py")), str(public / "src")),
        }


def main(arguments: list[str]) -> int:
    """Fuzz as each identity in turn, and print what was found."""
    seconds = float(arguments[0]) if arguments else 30.0
    seed = arguments[1] if len(arguments) > 1 else secrets.token_hex(4)
    failed = 0
    with starts() as ways:
        for name, (jail, source) in ways.items():
            found = fuzz(jail, source, seconds=seconds, seed=seed)
            print(
                f"{name}: {'FAILED' if found.changes else 'ok'}",
                *found.lines(),
                *found.changes,
                sep="\n",
            )
            sys.stdout.flush()
            failed |= bool(found.changes)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
