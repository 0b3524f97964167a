"""Boots an image under qemu, and gives what the guest told."""

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.kernels.archive import write_archive
from tests.kernels.image import ROOT, Image

QEMU = "qemu-system-x86_64"
_COMMON = ("-nodefaults", "-display", "none", "-no-reboot", "-m", "2048", "-smp", "2")
_WORDS = "console=ttyS0 panic=-1 quiet"
_WHOLE_SECONDS = 1800.0
_SILENT_SECONDS = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One program in the guest: who starts it, in which control group, and what it is."""

    name: str
    argv: tuple[str, ...]
    user: int = 0
    place: str = ""
    """A name in guest.PLACES; "" is the root of all groups."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What is written below /proc/sys before; it stays for the sessions that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one session came to."""

    lines: tuple[str, ...]
    status: int
    left: tuple[str, ...]
    """Groups of ours that were still there when it had ended."""

    def fields(self) -> list[dict[str, Any]]:
        """Give the lines that are JSON objects."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A machine after its end."""

    kernel: str
    """Its release, as uname(2) gives it."""
    lacks: str
    """What it was built without, so that no session was held; "" when it has all."""
    sessions: Mapping[str, Told]


class GuestFailed(Exception):
    """The guest did not get to its end."""


def boot(image: Image, groups: str, sessions: tuple[Session, ...], scratch: Path) -> Guest:
    """Boot, hold all sessions with control groups of version `groups`, power off. Raises GuestFailed."""
    console, told = scratch / "console", scratch / "told"
    command = (
        *(QEMU, *_accelerator(image), *_COMMON),
        *("-serial", f"file:{console}", "-serial", f"file:{told}"),
        *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on"),
        *("-kernel", image.kernel, "-initrd", _pack(image, groups, sessions, scratch)),
        *("-append", _WORDS),
    )
    with (scratch / "qemu").open("wb") as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        try:
            why = _wait(process, told)
        finally:
            process.kill()
            process.wait()
    lines = [json.loads(line) for line in told.read_text().splitlines() if line.endswith("}")]
    if why or not lines or not lines[-1].get("done"):
        ends = "\n".join("\n".join(_last(f)) for f in (scratch / "qemu", console, told))
        raise GuestFailed(f"{why or 'the guest ended early'}; the last words were\n{ends}")
    lacks = lines[0]["lacks"]
    held = () if lacks else sessions
    return Guest(
        kernel=lines[0]["kernel"],
        lacks=lacks,
        sessions={session.name: _sort(session.name, lines) for session in held},
    )


def _last(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines()[-25:] if file.exists() else []


def _wait(process: "subprocess.Popen[bytes]", told: Path) -> str:
    """Wait for the end; say why not when patience runs out."""
    began = heard = time.monotonic()
    size = -1
    while True:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass
        else:
            return ""
        now = time.monotonic()
        if told.exists() and told.stat().st_size != size:
            size, heard = told.stat().st_size, now
        if now - began > _WHOLE_SECONDS:
            return f"not at its end after {_WHOLE_SECONDS:.0f} s"
        if now - heard > _SILENT_SECONDS:
            return f"silent for {_SILENT_SECONDS:.0f} s"


def _sort(name: str, lines: list[dict[str, Any]]) -> Told:
    mine = [line for line in lines if line.get("session") == name]
    end = mine[-1]
    return Told(
        lines=tuple(line["line"] for line in mine if "line" in line),
        status=end["status"],
        left=tuple(end["left"]),
    )


def _pack(image: Image, groups: str, sessions: tuple[Session, ...], scratch: Path) -> Path:
    """Append this very source and the orders to the first file system."""
    tree = scratch / "tree"
    cloche = tree / "cloche"
    leave = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, cloche / name, symlinks=True, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", cloche)
    orders = {
        "groups": groups,
        "sessions": [
            {
                "name": session.name,
                "argv": session.argv,
                "user": session.user,
                "place": session.place,
                "settings": dict(session.settings),
            }
            for session in sessions
        ],
    }
    (cloche / "orders.json").write_text(json.dumps(orders))
    packed = scratch / "initramfs"
    with packed.open("wb") as file:
        file.write(image.first.read_bytes())
        write_archive(tree, file)
    return packed


@cache
def _accelerator(image: Image) -> tuple[str, ...]:
    """Give KVM's options where a kernel says its first word under it, those of emulation elsewhere.

    A /dev/kvm that opens is not enough: inside some virtual machines it is there
    and runs nothing.
    """
    emulated = ("-accel", "tcg,thread=multi", "-cpu", "max")
    hardware = ("-accel", "kvm", "-cpu", "host")
    command = (QEMU, *hardware, *_COMMON, "-serial", "stdio", "-kernel", image.kernel)
    try:
        done = subprocess.run(
            (*command, "-append", "console=ttyS0 panic=-1"),
            capture_output=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return emulated
    return hardware if b"Linux version" in done.stdout else emulated
