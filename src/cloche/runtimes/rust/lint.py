"""What a lock may ask a fetch step for: packages of the user's registry, each with its checksum."""

from cloche.runtimes.provider import CannotPlan, LintRefused, RegistryFacts
from cloche.runtimes.rust.lock import Lock, LockEntry
from cloche.runtimes.rust.names import is_name, is_sha256, is_version

SOURCE = "source"
"""Key of RegistryFacts.settings: how locks name the registry that cargo uses without being told."""
ONLY_REGISTRY = "only registry packages are fetched; `cargo vendor` puts it into the project"
_MOST_REASONS = 50


def lint_lock(lock: Lock, registry: RegistryFacts | None) -> None:
    """Raise LintRefused with every reason against `lock`, CannotPlan when no registry is known."""
    if not lock.fetched():
        return
    known = registry.settings.get(SOURCE, "") if registry is not None else ""
    if not known:
        raise CannotPlan(lock.path, "it is not known which registry cargo uses here")
    reasons = [
        f"{entry.name[:80]} {entry.version[:80]}: {why}"
        for entry in lock.entries
        if (why := _objection(entry, known))
    ]
    if reasons:
        raise LintRefused(lock.path, tuple(reasons[:_MOST_REASONS]))


def _objection(entry: LockEntry, known: str) -> str:
    if not is_name(entry.name) or not is_version(entry.version):
        return "it is not a name with a version"
    if not entry.source or (entry.source == known and is_sha256(entry.checksum)):
        return ""
    if entry.source.startswith("git+"):
        return f"it comes from git ({entry.source[4:120]}); {ONLY_REGISTRY}"
    if entry.source != known:
        return f"it comes from another registry ({entry.source[:120]})"
    return "it has no checksum"
