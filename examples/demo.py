"""The demo: scaffold and ship an honest application, then try to ship a hostile one.

Run by `make demo`. Everything it makes lies in build/demo. The hostile projects
are compared byte for byte before and after, and so is what they attack on the
host: the system's configuration, keys and start files, the folder they lie in.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAGE = HERE.parent / "build" / "demo"
CLOCHE = [sys.executable, "-m", "cloche"]
# docs/exit-statuses.md; a run that fails for another reason refused nothing.
CHANGES_REFUSED, LINT_REFUSED, LIMIT_BREACHED = 96, 106, 114


def main() -> int:
    """Run the scenes; 0 when each went as it must."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    scenes = (honest, hostile_build, hostile_lock, hostile_memory)
    failed = [scene.__name__ for scene in scenes if not scene()]
    print(f"\n{'all scenes went as they must' if not failed else f'FAILED: {failed}'}")
    return 1 if failed else 0


def honest() -> bool:
    """Ship an application from a template that comes with the package."""
    title("1. An honest application")
    app = STAGE / "hello"
    return run("scaffold", "react-ts", str(app)) == 0 and run("ship", str(app)) == 0


def hostile_build() -> bool:
    """Install scripts and a build that attack: each attempt is refused, nothing is left."""
    title("2. A hostile application: install scripts and build attack the host")
    return refused("hostile-app", CHANGES_REFUSED)


def hostile_lock() -> bool:
    """Try a lock file and an .npmrc that point elsewhere: refused before anything is fetched."""
    title("3. A hostile lock file and .npmrc")
    return refused("hostile-lock", LINT_REFUSED)


def hostile_memory() -> bool:
    """Try a build that takes all the memory there is: stopped at its limit, and named."""
    title("4. A build that takes memory without end")
    return refused("hostile-memory", LIMIT_BREACHED)


def refused(name: str, reason: int) -> bool:
    """Ship a copy of examples/NAME; true when it is refused for `reason`, project and host as before."""
    project = STAGE / name
    shutil.copytree(HERE / name, project, symlinks=True)
    (project / ".git" / "hooks").mkdir(parents=True)
    before, around, processes = digest(project), host(), set(pids())
    status, output = run_watched("ship", "--log", str(project))
    same, untouched = digest(project) == before, host() == around
    left = [pid for pid in set(pids()) - processes if is_ours(pid)]
    said = "yes" if status == reason else f"NO, {reason} was to come"
    print(f"  refused as it must be: {said} (exit status {status})")
    print(f"  attempts that succeeded: {output.count(': SUCCEEDED') or 'none'}")
    print(f"  project byte for byte as before: {'yes' if same else 'NO'}")
    print(f"  host as before: {'yes' if untouched else 'NO'}")
    print(f"  processes left behind: {left or 'none'}")
    held = status == reason and ": SUCCEEDED" not in output
    return held and same and untouched and not left


def run(*arguments: str) -> int:
    """Run `cloche` as a user would, and show the command."""
    print(f"\n$ cloche {' '.join(arguments)}", flush=True)
    return subprocess.run([*CLOCHE, *arguments], check=False).returncode


def run_watched(*arguments: str) -> tuple[int, str]:
    """Run `cloche`, pass on what it prints, and give (exit status, what it printed)."""
    print(f"\n$ cloche {' '.join(arguments)}", flush=True)
    lines = []
    with subprocess.Popen(
        [*CLOCHE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)


def host() -> dict[str, tuple[int, ...]]:
    """Give identity, size and times of every file that the hostile projects go for."""
    home = Path.home()
    files = [path for place in (Path("/etc"), home / ".ssh", STAGE) for path in place.rglob("*")]
    files += [home / name for name in (".bashrc", ".profile", ".npmrc", ".gitconfig")]
    files += Path("/usr").iterdir()
    found = {}
    for path in files:
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not path.is_dir():
                found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
            else:
                found[str(path)] = (status.st_ino, status.st_mode)
    return found


def digest(root: Path) -> str:
    """Digest names, kinds, modes and contents of a tree."""
    state = hashlib.sha256()
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted((*names, *files)):
            path = Path(directory) / name
            status = path.lstat()
            state.update(f"{path.relative_to(root)}\0{status.st_mode:o}\0".encode())
            if path.is_symlink():
                state.update(os.fsencode(path.readlink()))
            elif path.is_file():
                state.update(path.read_bytes())
    return state.hexdigest()


def pids() -> list[int]:
    """Give the processes the host has now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def is_ours(pid: int) -> bool:
    """Tell whether a process runs something of the stage."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"hostile" in command or b"daemon" in command


def title(text: str) -> None:
    """Announce a scene."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
