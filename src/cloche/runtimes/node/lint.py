"""What a lock may ask a fetch step for: registry packages with a strong digest, nothing else. Pure."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from cloche.runtimes.node.lock import Lock, LockEntry
from cloche.runtimes.node.names import is_inside, is_name, is_version
from cloche.runtimes.provider import LintRefused, RegistryFacts

_PORTS = {"https": 443, "http": 80}


def lint_lock(lock: Lock, members: Iterable[str], registry: RegistryFacts | None) -> None:
    """Judge every entry of `lock`. Raises LintRefused with every reason.

    `members` are the project's own directories that links may lead to.
    """
    places = frozenset(members)
    by_path = {entry.path: entry for entry in lock.entries}
    hosts = _hosts(registry)
    reasons = [
        f"{entry.path[:160]}: {why}"
        for entry in lock.entries
        for why in _objections(entry, places, by_path, hosts)
    ]
    if reasons:
        raise LintRefused(lock.path, tuple(reasons))


def lint_additions(before: Lock, after: Lock) -> None:
    """Accept `after` if it is `before` with optional packages added or left out. Raises LintRefused.

    Mirrors often hold only some platforms' optional packages, and npm then
    mends the lock by itself; it must not use the occasion for anything else.
    """
    old = {entry.path: entry for entry in before.packages()}
    new = {entry.path: entry for entry in after.packages()}
    reasons = [
        f"{path[:160]}: it was added, and is not optional"
        for path, entry in new.items()
        if path not in old and not entry.optional
    ]
    reasons += [
        f"{path[:160]}: it was left out, and is not optional"
        for path, entry in old.items()
        if path not in new and not entry.optional
    ]
    reasons += [
        f"{path[:160]}: it was changed"
        for path, entry in new.items()
        if path in old and _identity(entry) != _identity(old[path])
    ]
    if reasons:
        raise LintRefused(after.path, tuple(reasons))


def followed(entry: LockEntry, registry: RegistryFacts | None) -> str:
    """Give the address of `entry` that a fetch step may see; "" when the registry is to be asked.

    An address is kept only when it lies on a host of the user's own registries.
    Every other one is left out, so that npm asks the user's registry for name and
    version and holds the answer against the digest: no other host is ever named.
    """
    parts = _split(entry.resolved)
    return entry.resolved if parts is not None and parts[0] in _hosts(registry) else ""


def _objections(
    entry: LockEntry,
    members: frozenset[str],
    by_path: dict[str, LockEntry],
    hosts: frozenset[str],
) -> Iterable[str]:
    if not entry.is_package:
        yield from _own_objections(entry, members)
        return
    yield from _place_objections(entry, members)
    if not is_name(entry.name):
        yield f"{entry.name[:80]!r} is not a package name"
    if not is_version(entry.version):
        yield f"version {entry.version[:80]!r} is not exact"
    if entry.bundled:
        if not _is_carried(entry, by_path):
            yield "it says it is bundled, but nothing with a digest above it carries it"
    elif not entry.integrity:
        yield "it has no sha512 integrity"
    if entry.resolved:
        yield from _address_objections(entry, hosts)
    yield from _command_objections(entry)


def _own_objections(entry: LockEntry, members: frozenset[str]) -> Iterable[str]:
    if not entry.link:
        if entry.path not in members:
            yield "it is a directory that this project does not declare"
        return
    if "node_modules/" not in entry.path:
        yield "a link stands outside of node_modules"
    yield from _place_objections(entry, members)
    if entry.resolved not in members:
        yield f"its link leads to {entry.resolved[:120]!r}, which this project does not declare"


def _place_objections(entry: LockEntry, members: frozenset[str]) -> Iterable[str]:
    if not is_inside(entry.path):
        yield "its path is not plain"
        return
    member, _, rest = f"/{entry.path}".partition("/node_modules/")
    if member and member[1:] not in members:
        yield f"it stands in {member[1:80]!r}, which this project does not declare"
    if not all(is_name(part) for part in rest.split("/node_modules/")):
        yield "its path holds what is not a package name"


def _address_objections(entry: LockEntry, hosts: frozenset[str]) -> Iterable[str]:
    parts = _split(entry.resolved)
    # Plain http only where the user's own configuration says so: a registry on the own machine.
    if parts is None or not (parts[0].startswith("https:") or parts[0] in hosts):
        yield f"its address {entry.resolved[:120]!r} is not https"
        return
    host, path = parts
    # The form every npm registry and mirror uses. What has it can be asked for by name and version
    # instead, so its host does not matter; what has not could only be had from that very host.
    base = entry.name.rpartition("/")[2]
    if host not in hosts and not path.endswith(f"/{entry.name}/-/{base}-{entry.version}.tgz"):
        yield f"its address {entry.resolved[:120]!r} is of no registry of yours"


def _command_objections(entry: LockEntry) -> Iterable[str]:
    for command, target in entry.commands.items():
        if not is_name(command) or not is_inside(target.removeprefix("./")):
            yield f"its command {command[:80]!r} leads to {target[:80]!r}"


def _is_carried(entry: LockEntry, by_path: dict[str, LockEntry]) -> bool:
    path = entry.path
    while "/node_modules/" in path:
        path = path.rpartition("/node_modules/")[0]
        carrier = by_path.get(path)
        if carrier is not None and carrier.integrity:
            return True
    return False


def _split(address: str) -> tuple[str, str] | None:
    """Give scheme with host and port, and path, of a plain address; None for anything else."""
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        plain = port and parts.hostname and not (parts.query or parts.fragment)
        if not plain or "@" in parts.netloc or ".." in parts.path:
            return None
        return f"{parts.scheme}://{parts.hostname}:{port}", parts.path.replace("%2f", "/")
    except ValueError:
        return None


def _hosts(registry: RegistryFacts | None) -> frozenset[str]:
    addresses = registry.urls if registry is not None else ()
    return frozenset(parts[0] for url in addresses if (parts := _split(url)) is not None)


def _identity(entry: LockEntry) -> tuple[str, str, str]:
    return entry.name, entry.version, entry.integrity
