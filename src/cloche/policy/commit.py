"""What one commit may bring in: how much, of which endings, under which names."""

from dataclasses import dataclass

from cloche.model.names import unportable
from cloche.model.paths import JailPath
from cloche.policy.globs import Glob


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitLimits:
    """What one commit may bring into the project."""

    max_bytes: int
    max_file_bytes: int
    max_entries: int
    allow_extensions: tuple[str, ...] | None = None
    """Endings with their dot, "" for a name without one; None allows every ending."""
    deny_extensions: tuple[str, ...] = ()
    unportable: tuple[Glob, ...] = ()
    """Where names may be made that other systems cannot hold."""

    def name_objections(self, path: JailPath) -> tuple[str, ...]:
        """Give the reasons against a new entry of this name."""
        return self._unless_named(path, unportable(path.name))

    def alike_objections(self, path: JailPath) -> tuple[str, ...]:
        """Give the reasons against an entry beside another that some systems take it for."""
        return self._unless_named(path, ("other systems take it for",))

    def _unless_named(self, path: JailPath, reasons: tuple[str, ...]) -> tuple[str, ...]:
        if not reasons or any(glob.matches(path) for glob in self.unportable):
            return ()
        return tuple(f"commit.unportable does not name it, and {reason}" for reason in reasons)

    def extension_objections(self, path: JailPath) -> tuple[str, ...]:
        """Give the reasons against a file, for its ending; case does not count."""
        name = path.name.lower()
        denied = [e for e in self.deny_extensions if _ends(name, e.lower())]
        reasons = [f"commit.extensions.deny refuses {e or 'no ending'}" for e in denied]
        allowed = self.allow_extensions
        if allowed is not None and not any(_ends(name, e.lower()) for e in allowed):
            reasons.append("commit.extensions.allow does not have its ending")
        return tuple(reasons)


def _ends(name: str, extension: str) -> bool:
    # A dot in front, as in `.npmrc`, begins a name and no ending.
    stem = name.lstrip(".")
    return stem.endswith(extension) if extension else "." not in stem
