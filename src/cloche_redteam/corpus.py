"""All attacks, by importing the files that hold them."""

from importlib import import_module

from cloche_redteam.attack import REGISTER, Attack

FILES = (
    "files",
    "watching",
    "descriptors",
    "environment",
    "processes",
    "devices",
    "terminal",
    "network",
    "protocols",
    "ipc",
    "privileges",
    "namespaces",
    "calls",
    "machine",
    "settings",
    "memory",
    "resources",
)


def load() -> dict[str, Attack]:
    """Give every attack by name."""
    for name in FILES:
        import_module(f"cloche_redteam.attacks.{name}")
    return REGISTER
