"""The project's .npmrc: a few harmless settings are followed in fetch steps, all else is named and left out."""

from dataclasses import dataclass

# They choose what is installed, never from where, by what, or with which program.
_SWITCHES = frozenset({"legacy-peer-deps", "strict-peer-deps", "prefer-dedupe", "engine-strict"})
_CHOICES = {
    "install-strategy": frozenset({"hoisted", "nested", "shallow"}),
    "save-prefix": frozenset({"^", "~", ""}),
}
_HARMLESS = frozenset({"fund", "audit", "update-notifier", "save-exact", "progress", "loglevel"})
_MOST_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    """What was read of a project's .npmrc."""

    followed: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    """Keys that fetch steps do not follow."""


def read_settings(content: bytes) -> ProjectSettings:
    """Read an .npmrc. Never fails: what is not understood is left out."""
    followed: dict[str, str] = {}
    left_out: list[str] = []
    for line in content.decode("utf-8", "replace").splitlines()[:_MOST_LINES]:
        text = line.strip()
        if not text or text[0] in "#;[":
            continue
        key, separator, value = text.partition("=")
        key, value = key.strip(), value.strip().strip("\"'") if separator else "true"
        if key in _HARMLESS:
            continue
        if (key in _SWITCHES and value in ("true", "false")) or value in _CHOICES.get(key, ()):
            followed[key] = value
        else:
            left_out.append(_shown(key))
    return ProjectSettings(
        followed=tuple(sorted(followed.items())), left_out=tuple(dict.fromkeys(left_out))
    )


def write_settings(settings: ProjectSettings) -> bytes:
    """Give the .npmrc that a fetch step sees."""
    return "".join(f"{key}={value}\n" for key, value in settings.followed).encode()


def _shown(key: str) -> str:
    # A key can hold a credential's host or a variable; its value is never shown.
    return "".join(c if c.isprintable() else "?" for c in key)[:60]
