"""Other ways to run one program apart from the rest, each with the namespaces and the tree of ours as far as it can."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Action

_SRT = Path("build/peers/node_modules/.bin/srt")
_PATIENCE = 20.0  # seconds
_HOST_USER = 0x7000_0000  # nobody's, as the user that we start programs as for root


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One way, and why it cannot be taken here, if so."""

    name: str
    run: Action
    slow: bool = False
    """Whether it takes so long that few turns must do."""
    missing: str = ""


async def peers(stage: Path, home: Path) -> list[Peer]:
    """Give every peer, tried once; `stage` is the project, `home` a directory for what a peer needs."""
    ways: tuple[tuple[str, bool, Callable[[], list[str]]], ...] = (
        ("true", False, lambda: ["/usr/bin/true"]),
        ("unshare", False, _unshare),
        ("bwrap", False, lambda: bwrap(stage, ["/usr/bin/true"])),
        ("firejail", True, lambda: _firejail(stage)),
        ("runc", True, lambda: _container("runc", stage, home)),
        ("crun", True, lambda: _container("crun", stage, home)),
        ("srt", True, lambda: _srt(stage, home)),
        ("systemd", True, _systemd),
        ("nsjail", True, _unpackaged),
        ("minijail", True, _unpackaged),
    )
    return [await _tried(name, way, slow=slow) for name, slow, way in ways]


async def _tried(name: str, way: Callable[[], list[str]], *, slow: bool) -> Peer:
    try:
        argv = way()
        error = await _run(argv)
    except (LookupError, OSError) as refusal:
        return Peer(name=name, run=_never, missing=str(refusal.args[-1]))

    async def run() -> None:
        if error := await _run(argv):
            raise RuntimeError(f"{name}: {error}")

    missing = f"it fails here: {error[:90]}" if error else ""
    return Peer(name=name, run=run, slow=slow, missing=missing)


async def _never() -> None:
    raise RuntimeError("this peer is missing")


async def _run(argv: list[str]) -> str:
    """Run to the end and read what it says, as we do; what went wrong, "" when nothing did."""
    # A pipe for input: runc and crun give what they are handed to the mapped user, and /dev/null is everybody's.
    process = await asyncio.create_subprocess_exec(*argv, stdin=-1, stdout=-1, stderr=-1)
    try:
        _, said = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        return "no end in sight"
    if process.returncode == 0:
        return ""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"status {process.returncode}"


def _program(name: str) -> list[str]:
    """Find a peer's program; raises LookupError with the reason for the table."""
    found = shutil.which(name)
    if found is None:
        raise LookupError(f"{name} is not installed")
    return [found]


def bwrap(stage: Path, argv: list[str]) -> list[str]:
    """Give the same tree and namespaces in bubblewrap's words; without seccomp, Landlock or limits."""
    arguments = _program("bwrap")
    arguments += ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    arguments += ["--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--cap-drop", "ALL"]
    arguments += ["--hostname", "cloche", "--uid", "1000", "--gid", "1000"]
    arguments += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib64"):
        arguments += ["--symlink", f"usr/{name}", f"/{name}"]
    for name in ("ld.so.cache", "localtime", "alternatives"):
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home/user"]
    return [*arguments, "--bind", str(stage), "/project", "--chdir", "/project", *argv]


def _unshare() -> list[str]:
    """Give the same namespaces, with a /proc and no tree of its own. unshare(1)."""
    namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc"]
    namespaces += ["--uts", "--cgroup", "--mount-proc", "--kill-child"]
    return [*_program("unshare"), *namespaces, "--", "/usr/bin/true"]


def _firejail(stage: Path) -> list[str]:
    """Without a profile: its own are for known programs. The whole system is shown, read-only in part."""
    arguments = ["--quiet", "--noprofile", "--net=none", "--ipc-namespace", "--hostname=cloche"]
    arguments += [f"--private={stage}", "--private-dev", "--private-tmp"]
    arguments += ["--caps.drop=all", "--nonewprivs", "--seccomp", "--rlimit-nofile=4096"]
    return [*_program("firejail"), *arguments, "--", "/usr/bin/true"]


def _srt(stage: Path, home: Path) -> list[str]:
    """Give the sandbox runtime of a coding agent: a Node program around bwrap, socat and a filter."""
    if not _SRT.exists():
        raise LookupError(f"{_SRT} is not there: npm install it below build/peers")
    for name in ("bwrap", "socat", "rg"):
        _program(name)
    settings = home / "srt.json"
    files = {"denyRead": [], "allowWrite": [str(stage)], "denyWrite": []}
    network: dict[str, list[str]] = {"allowedDomains": [], "deniedDomains": []}
    settings.write_text(json.dumps({"network": network, "filesystem": files}))
    return [str(_SRT), "--settings", str(settings), "--", "/usr/bin/true"]


def _systemd() -> list[str]:
    """Give a transient service with the settings that confine most."""
    if not Path("/run/systemd/system").is_dir():
        raise LookupError("systemd is not what runs this machine")
    arguments = ["--pipe", "--wait", "--quiet", "--collect"]
    if os.geteuid() != 0:
        arguments.append("--user")
    private = ("PrivateNetwork", "PrivateTmp", "PrivateDevices", "PrivateUsers", "ProtectHome")
    arguments += [f"--property={name}=yes" for name in private]
    arguments += ["--property=NoNewPrivileges=yes", "--property=ProtectSystem=strict"]
    arguments += ["--property=SystemCallFilter=@system-service", "--property=MemoryMax=2G"]
    return [*_program("systemd-run"), *arguments, "/usr/bin/true"]


def _unpackaged() -> list[str]:
    raise LookupError("Debian 12 has no package of it")


def _container(runtime: str, stage: Path, home: Path) -> list[str]:
    """Give an OCI runtime with a bundle of the same tree, with limits. opencontainers/runtime-spec."""
    program = _program(runtime)
    bundle = home / runtime
    root = bundle / "rootfs"
    for name in ("proc", "dev", "usr", "tmp", "home/user", "project"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (bundle / "config.json").write_text(json.dumps(_bundle(stage)))
    return [*program, "run", "--bundle", str(bundle), f"cloche-bench-{os.getpid()}"]


def _bundle(stage: Path) -> dict[str, object]:
    safe = ["nosuid", "nodev"]

    def mount(place: str, kind: str, source: str, options: list[str]) -> dict[str, object]:
        return {"destination": place, "type": kind, "source": source, "options": options}

    outside = _HOST_USER if os.geteuid() == 0 else os.geteuid()
    mapping = [{"containerID": 0, "hostID": outside, "size": 1}]
    kinds = ("pid", "network", "ipc", "uts", "mount", "user", "cgroup")
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    return {
        "ociVersion": "1.0.0",
        "hostname": "cloche",
        "root": {"path": "rootfs", "readonly": True},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/usr/bin/true"],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/project",
            "noNewPrivileges": True,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096}],
        },
        "mounts": [
            mount("/proc", "proc", "proc", []),
            mount("/dev", "tmpfs", "tmpfs", ["nosuid", "mode=755", "size=64k"]),
            mount("/dev/pts", "devpts", "devpts", pts),
            mount("/dev/shm", "tmpfs", "shm", [*safe, "mode=1777", "size=64m"]),
            mount("/usr", "bind", "/usr", ["rbind", "ro", *safe]),
            mount("/tmp", "tmpfs", "tmpfs", safe),
            mount("/home/user", "tmpfs", "tmpfs", safe),
            mount("/project", "bind", str(stage), ["bind", *safe]),
        ],
        "linux": {
            "uidMappings": mapping,
            "gidMappings": mapping,
            "namespaces": [{"type": kind} for kind in kinds],
            "resources": {
                "memory": {"limit": 2 << 30},
                "pids": {"limit": 256},
                "cpu": {"quota": 200_000, "period": 100_000},
            },
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
        },
    }
