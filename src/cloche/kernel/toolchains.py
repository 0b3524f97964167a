"""Finding the user's tools: by looking, never by running anything of a project."""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloche.kernel.errors import NoToolchain
from cloche.runtimes.toolchain import Toolchain, ToolchainNeed, ToolHome, VersionRule

_ELF = b"\x7fELF"
_BLOCK = 1 << 22
_LONGEST_MATCH = 1 << 12
_MOST_FILES = 64
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Where a user's programs keep what is nobody else's: the XDG base directory specification.
_USERS = (
    ("HOME", ""),
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_STATE_HOME", ".local/state"),
    ("XDG_CACHE_HOME", ".cache"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A place that has the tool."""

    root: Path
    version: str
    holds: str
    """What of the user's it has as well, "" for nothing: a tool is shown whole to every program."""

    def __str__(self) -> str:
        said = f"{self.version} in {self.root}"
        return f"{said}, where {self.holds} is too and would be shown" if self.holds else said


def find_toolchains(
    needs: tuple[ToolchainNeed, ...],
    environment: Mapping[str, str],
    memory: Path,
    *,
    project: Path | None = None,
    own: tuple[Path, ...] = (),
) -> dict[str, Toolchain]:
    """Find what `needs` names: on the user's PATH, where its installer puts it, in the extra of this package.

    Nothing that lies in `project` is a tool of the user's, and none is shown that has around it the
    project, what is `own` to Cloche, or what is the user's: ~/.local, say. `memory` is a file
    that remembers digests by inode, size and time, since hashing a hundred
    megabytes at each start would be felt. Raises NoToolchain naming what was
    found when nothing is new enough.
    """
    found: dict[str, Toolchain] = {}
    for need in needs:
        candidates = list(_candidates(need, environment, project, own))
        fit = next(
            (c for c in candidates if not c.holds and _numbers(c.version) >= need.minimum), None
        )
        if fit is None:
            seen = ", ".join(map(str, candidates)) or "none"
            raise NoToolchain(need.name, ".".join(map(str, need.minimum)), seen, need.advice)
        root = fit.root
        try:
            digest = _digest(need, root, memory)
        except OSError as error:  # removed meanwhile, or not for this user to read
            seen = f"{fit}, but: {error}"
            raise NoToolchain(
                need.name, ".".join(map(str, need.minimum)), seen, need.advice
            ) from error
        inside = str(root) if root.is_relative_to("/usr") else f"/toolchain/{need.name}"
        found[need.name] = Toolchain(
            name=need.name,
            host_root=str(root),
            inside=inside,
            version=fit.version,
            digest=digest,
            commands=need.commands,
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _candidates(
    need: ToolchainNeed,
    environment: Mapping[str, str],
    project: Path | None,
    own: tuple[Path, ...],
) -> Iterator[_Candidate]:
    """Yield each tool that is the real one, best place first."""
    private = (*_users_places(environment), *own, *((project,) if project else ()))
    seen: set[Path] = set()
    for directory, root in _places(need, environment):
        if root in seen or not _is_whole(need, root) or _is_a_projects(directory, root, project):
            continue
        seen.add(root)
        if version := _version(need, root):
            yield _Candidate(root=root, version=version, holds=_find_held(root, private))


def _users_places(environment: Mapping[str, str]) -> Iterator[Path]:
    """Give the directories that are the user's own, by the variables that name them or as usual."""
    home = environment.get("HOME", "")
    for variable, below in _USERS:
        place = environment.get(variable, "") or os.path.join(home, below)
        if place.startswith("/"):
            yield Path(place)


def _find_held(root: Path, private: Iterable[Path]) -> str:
    """Give the first of `private` that is `root` or lies in it; of /usr all is shown anyway."""
    if root.is_relative_to("/usr"):
        return ""
    held = (place for place in private if Path(os.path.realpath(place)).is_relative_to(root))
    return str(next(held, ""))


def _places(need: ToolchainNeed, environment: Mapping[str, str]) -> Iterator[tuple[Path, Path]]:
    """Yield (where it was found, root) of each place that may hold the tool."""
    depth = need.program.count("/")
    for directory in environment.get("PATH", "").split(":"):
        program = Path(directory) / (need.command or need.name)
        if directory.startswith("/") and os.access(program, os.X_OK):
            yield Path(directory), Path(os.path.realpath(program)).parents[depth]
    for home in need.homes:
        for root in _in_home(home, environment):
            yield root, root
    module, below = need.embedded
    spec = importlib.util.find_spec(module) if module else None
    if spec is not None and spec.submodule_search_locations:
        root = Path(os.path.realpath(spec.submodule_search_locations[0])) / below
        # A dependency of ours, in whatever environment that is: no project brought it.
        yield Path("/"), root


def _in_home(home: ToolHome, environment: Mapping[str, str]) -> list[Path]:
    """Give the roots in an installer's directory: the user's choice, then the newest first."""
    named = environment.get(home.variable, "") if home.variable else ""
    users = environment.get("HOME", "")
    if not (named or users).startswith("/"):
        return []
    place = Path(named) if named else Path(users) / home.below_home
    if not home.roots:
        return [Path(os.path.realpath(place))]
    roots = sorted(place.glob(home.roots), key=lambda root: _numbers(root.name), reverse=True)
    chosen = None
    if home.chosen_in:
        with contextlib.suppress(OSError):
            chosen = re.search(home.chosen, (place / home.chosen_in).read_text(errors="replace"))
    roots.sort(key=lambda root: chosen is None or root.name != chosen[1])
    return [Path(os.path.realpath(root)) for root in roots]


def _is_whole(need: ToolchainNeed, root: Path) -> bool:
    """Tell whether this is the tool itself: a version manager's script or proxy is not."""
    program = root / need.program
    try:
        with program.open("rb") as file:
            is_elf = file.read(4) == _ELF
    except OSError:
        return False
    return (is_elf or need.is_script) and all(any(root.glob(part)) for part in need.parts)


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


def _version(need: ToolchainNeed, root: Path) -> str:
    for rule in need.versions:
        found = [
            version for file in _files(root, rule.file) if (version := _read(rule, root, file))
        ]
        if found:
            return max(found, key=_numbers)
    return ""


def _read(rule: VersionRule, root: Path, file: Path) -> str:
    if rule.in_name:
        match = re.search(rule.pattern, str(file.relative_to(root)))
        return ".".join(match.groups()) if match else ""
    pattern = re.compile(rule.pattern.encode(), re.DOTALL)
    with contextlib.suppress(OSError), file.open("rb") as content:
        carried = b""
        while block := content.read(_BLOCK):
            text = carried + block
            if found := pattern.search(text):
                return b".".join(found.groups()).decode("ascii", "replace")
            carried = text[-_LONGEST_MATCH:]
    return ""


def _files(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.is_file())[:_MOST_FILES]


def _digest(need: ToolchainNeed, root: Path, memory: Path) -> str:
    files = [file for glob in need.measured or (need.program,) for file in _files(root, glob)]
    digests = [_digest_file(file, memory) for file in files]
    if len(files) == 1:
        return digests[0]
    pairs = zip(files, digests, strict=True)
    lines = "".join(f"{digest}  {file.relative_to(root)}\n" for file, digest in pairs)
    return hashlib.sha256(lines.encode()).hexdigest()


def _digest_file(program: Path, memory: Path) -> str:
    status = program.stat()
    key = f"{program}:{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
    known = _remembered(memory)
    if key not in known:
        with program.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        # Where nothing can be kept the digest is only made again the next time.
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = memory.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(known))
            temporary.replace(memory)
    return known[key]


def _remembered(memory: Path) -> dict[str, str]:
    """Give what the memory says; what nobody of ours has written there counts for nothing."""
    try:
        known = json.loads(memory.read_bytes())
        return {key: text for key, text in known.items() if _DIGEST.fullmatch(text)}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
