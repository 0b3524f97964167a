"""How a machine contains: with namespaces, or, where it gives none, with less."""

from enum import Enum


class Tier(Enum):
    """The two ways; a run has one of them, and its report says what that holds."""

    NAMESPACES = "namespaces"
    """Every barrier: a file tree, a network and processes of the sandbox's own."""
    LANDLOCK = "landlock"
    """No namespaces: Landlock and seccomp narrow a process of the host's own. docs/tiers.md."""
