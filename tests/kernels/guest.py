"""The guest's side: mounts control groups, starts each session where its orders say, tells what it printed.

Standard library alone, as the first process of the machine. What it tells are
JSON lines on the second serial port; the first is the console.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import traceback
from pathlib import Path
from typing import Any, TextIO

CLOCHE = Path("/cloche")
GROUPS = Path("/sys/fs/cgroup")
V1 = ("memory", "pids", "cpu,cpuacct")
NEEDED = "+memory +pids +cpu"
# What systemd hands over with Delegate=yes, by cgroup-v2's "delegation".
DELEGATED = ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
_POWER_OFF = 0x4321_FEDC  # linux/reboot.h
_MOUNTS = (
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("mqueue", "/dev/mqueue"),
    ("tmpfs", "/run"),
)


def main() -> None:
    """Follow the orders, in a child: the first process must not end, and reaps what is left to it."""
    child = os.fork()
    if child == 0:
        try:
            obey()
        except Exception:  # noqa: BLE001 - the console is told, and the host sees that no end came
            traceback.print_exc()
        os._exit(0)
    while os.wait()[0] != child:
        pass
    os.sync()
    ctypes.CDLL(None).reboot(_POWER_OFF)


def obey() -> None:
    orders = json.loads((CLOCHE / "orders.json").read_text())
    for kind, place in _MOUNTS:
        os.makedirs(place, exist_ok=True)
        subprocess.run(("mount", "-t", kind, kind, place), check=True)
    os.chmod("/dev/shm", 0o1777)
    paths = Path("/usr/lib/python3/dist-packages/cloche.pth")
    paths.write_text(f"{CLOCHE}/src\n/opt/python\n")  # also where no variable says so
    lacks = mount_groups(orders["groups"])
    with open("/dev/ttyS1", "w", encoding="utf-8") as told:
        tell(told, kernel=os.uname().release, lacks=lacks)
        for session in orders["sessions"] if not lacks else ():
            hold(session, told)
        tell(told, done=True)


def tell(told: TextIO, **fields: Any) -> None:
    print(json.dumps(fields), file=told, flush=True)


def mount_groups(version: str) -> str:
    """Mount the trees of groups; give what the kernel was built without, "" when it has all."""
    if version == "v2":
        subprocess.run(("mount", "-t", "cgroup2", "cgroup2", GROUPS), check=True)
        (GROUPS / "cgroup.subtree_control").write_text(NEEDED)
        return ""
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", GROUPS), check=True)
    for names in V1:
        (GROUPS / names).mkdir()
        command = ("mount", "-t", "cgroup", "-o", names, "cgroup", GROUPS / names)
        if subprocess.run(command, check=False).returncode != 0:
            return f"control groups of version 1 for {names}"
    return ""


def hold(session: dict[str, Any], told: TextIO) -> None:
    """Run one session: {"name", "user", "place", "settings", "argv"}."""
    name, user = session["name"], session["user"]
    for setting, value in session["settings"].items():
        Path("/proc/sys", setting.replace(".", "/")).write_text(value)
    with contextlib.ExitStack() as stack:
        place = PLACES[session["place"]](stack, user) if session["place"] else None
        home = Path(f"/home/{name}")
        home.mkdir()
        os.chown(home, user, user)
        with subprocess.Popen(
            session["argv"],
            cwd=CLOCHE,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LANG": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: enter(place, user),  # noqa: PLW1509 - there is one thread
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                tell(told, session=name, line=line.rstrip("\n"))
        left = [str(path) for path in GROUPS.rglob("cloche.*-*") if path.is_dir()]
        tell(told, session=name, status=process.returncode, left=left)


def enter(place: Path | None, user: int) -> None:
    if place is not None:
        (place / "cgroup.procs").write_text(str(os.getpid()))
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def make(stack: contextlib.ExitStack, place: Path, user: int) -> Path:
    """Make a group and hand it over to `user`, until the session ends."""
    place.mkdir()
    stack.callback(discard, place)
    for name in DELEGATED:
        os.chown(place / name, user, user)
    return place


def discard(place: Path) -> None:
    """Remove a group with what a kernel stepped aside into."""
    for path in (*place.iterdir(), place):
        if path.is_dir():
            path.rmdir()


def crowd(stack: contextlib.ExitStack, place: Path) -> None:
    """Put a process into a group, of the kind that is there first: a shell, an editor."""
    process = subprocess.Popen(("sleep", "infinity"))
    (place / "cgroup.procs").write_text(str(process.pid))
    stack.callback(process.wait)
    stack.callback(process.kill)


def alone(stack: contextlib.ExitStack, user: int) -> Path:
    """A scope of one's own: nobody else is in it, and what is above is somebody else's."""
    return make(stack, GROUPS / f"alone-{user}", user)


def crowded(stack: contextlib.ExitStack, user: int) -> Path:
    """A scope where a shell is too, and what is above is somebody else's."""
    place = make(stack, GROUPS / f"crowded-{user}", user)
    crowd(stack, place)
    return place


def below(stack: contextlib.ExitStack, user: int) -> Path:
    """A scope where a shell is too, below a slice of one's own."""
    above = make(stack, GROUPS / f"slice-{user}", user)
    (above / "cgroup.subtree_control").write_text(NEEDED)
    place = make(stack, above / "scope", user)
    crowd(stack, place)
    return place


PLACES = {"alone": alone, "crowded": crowded, "below": below}


if __name__ == "__main__":
    main()
