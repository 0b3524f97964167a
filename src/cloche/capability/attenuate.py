"""Handing on less than one has: a child never exceeds its parent."""

from cloche.capability.capability import Capability


def narrow(parent: Capability, child: Capability) -> Capability | None:
    """Give `child` held to what `parent` allows; None when nothing of it is left."""
    if parent.resource is not child.resource:
        return None
    if not _within(child.pattern, parent.pattern):
        return None
    return Capability(
        resource=child.resource,
        pattern=child.pattern,
        constraints=parent.constraints.narrowed_by(child.constraints),
    )


def _within(child: str, parent: str) -> bool:
    """Tell whether everything `child` matches, `parent` matches too."""
    if parent == "**":
        return True
    if parent.endswith("/**"):
        return child != "**" and child.startswith(parent[:-2])
    return child == parent
