"""A project's .cargo/config.toml and rust-toolchain.toml: read as data, obeyed by build steps alone."""

from dataclasses import dataclass

from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.rust.document import Table, read_table, table, text
from cloche.runtimes.rust.names import is_triple, joined
from cloche.runtimes.toolchain import Toolchain

_CONFIGURATIONS = (".cargo/config.toml", ".cargo/config")
_TOOLCHAINS = ("rust-toolchain.toml", "rust-toolchain")
# Keys that change what is built, and nothing of what is fetched.
_OF_BUILDS = frozenset(
    {"profile", "target", "build", "env", "term", "doc", "future-incompat-report"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What planning must know of the project's own configuration of cargo."""

    path: str = ""
    vendored: str = ""
    """Directory of the project that stands for the registry; "" when none does."""
    target: str = ""
    """Platform that is built for, when it is not this one."""
    left_out: tuple[str, ...] = ()
    """Names of settings that fetch steps do not follow."""


def read_settings(view: ProjectView) -> Settings:
    """Read what is there. Raises CannotPlan for what no step could follow."""
    for path in _CONFIGURATIONS:
        content = view.read(path)
        if content is not None:
            return _settings(path, read_table(path, content))
    return Settings()


def _settings(path: str, found: Table) -> Settings:
    build = table(found.get("build"))
    target = _target(path, build.get("target"))
    if target and not is_triple(target):
        raise CannotPlan(path, f"build.target is not the name of a platform: {target[:80]!r}")
    return Settings(
        path=path,
        vendored=_vendored(path, table(found.get("source"))),
        target=target,
        left_out=tuple(sorted(key[:80] for key in found if key not in _OF_BUILDS | {"source"})),
    )


def _target(path: str, value: object) -> str:
    if not isinstance(value, list):
        return text(value)
    if len(value) > 1:
        raise CannotPlan(path, "build.target names more than one platform", "build one at a time")
    return text(value[0]) if value else ""


def _vendored(path: str, sources: Table) -> str:
    """Give the directory that replaces the registry, as `cargo vendor` has it written."""
    replaced = table(sources.get("crates-io"))
    name = text(replaced.get("replace-with"))
    if not name:
        return ""
    directory = text(table(sources.get(name)).get("directory"))
    # Relative to the directory that .cargo lies in.
    place = joined("", directory) if directory else None
    if place:
        return place
    raise CannotPlan(
        path,
        f"it replaces the registry by {name[:80]!r}, which is no directory of the project",
        "say that in your own ~/.cargo/config.toml, which fetch steps follow, or vendor the packages",
    )


def check_toolchain(view: ProjectView, toolchain: Toolchain | None) -> None:
    """Raise CannotPlan when the project wants another toolchain than the one that was found."""
    for path in _TOOLCHAINS:
        content = view.read(path)
        if content is None:
            continue
        channel, own = _channel(path, content)
        if own:
            raise CannotPlan(
                path,
                "it names a toolchain by path, which would be a program of the project's own",
                "name a channel, or remove the file",
            )
        if channel and toolchain is not None and not is_channel(channel, toolchain.version):
            raise CannotPlan(
                path,
                f"it wants {channel[:80]}, and the toolchain found is {toolchain.version}",
                "put the bin directory of that toolchain first in PATH "
                "(rustup keeps it below toolchains/ in ~/.rustup), or remove the file",
            )
        return


def _channel(path: str, content: bytes) -> tuple[str, bool]:
    """Give the channel and whether a path is named; the old form is one bare line."""
    lines = content.decode("utf-8", "replace").split()
    if path == _TOOLCHAINS[1] and len(lines) == 1 and "=" not in lines[0]:
        return lines[0], "/" in lines[0]
    found = table(read_table(path, content).get("toolchain"))
    return text(found.get("channel")), "path" in found


def is_channel(channel: str, version: str) -> bool:
    """Tell whether `version` ("1.95.0", "1.97.0-nightly") is what `channel` may mean.

    The date of a nightly stands in no version: any nightly counts as the one of a date.
    """
    number, _, kind = version.partition("-")
    for name in ("nightly", "beta"):
        if channel == name or channel.startswith(f"{name}-"):
            return kind.startswith(name)
    # A platform may follow: 1.80.0-x86_64-unknown-linux-gnu.
    wanted = channel.partition("-")[0]
    if wanted == "stable":
        return not kind
    return not kind and (number == wanted or number.startswith(f"{wanted}."))
