"""The part of a sandbox that can stand before its program is known, so that it can be made ahead."""

from dataclasses import dataclass

from cloche.sandbox.mounts import (
    BindReadOnly,
    Dev,
    FileContent,
    Masked,
    MountOp,
    Overlay,
    Proc,
    SymbolicLink,
    Tmpfs,
)
from cloche.sandbox.plan import SandboxPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Mounts of the system alone, nothing of the user's; equal grounds are interchangeable."""

    mounts: tuple[MountOp, ...]
    observed: bool

    def sources(self) -> tuple[str, ...]:
        """Give the host paths that are bound: a ground is stale when one of them is another file."""
        return tuple(op.source for op in self.mounts if isinstance(op, BindReadOnly))


def divide(plan: SandboxPlan) -> tuple[Ground, tuple[MountOp, ...]]:
    """Divide a plan's mounts into (ground, the rest in order).

    A mount goes into the ground when it belongs to every sandbox and when no
    mount of the rest would then have come before it and now hide it.
    """
    early: list[MountOp] = []
    rest: list[MountOp] = []
    for operation in plan.mounts:  # parents come before children, masks last
        hidden = any(_below(operation.target, other.target) for other in rest)
        (early if _is_common(operation) and not hidden else rest).append(operation)
    return Ground(mounts=tuple(early), observed=plan.network.observed), tuple(rest)


def _is_common(operation: MountOp) -> bool:
    match operation:
        case Proc() | Dev() | FileContent() | SymbolicLink() | Masked():
            return True
        case BindReadOnly(of_user=of_user):
            return not of_user
        case Tmpfs() | Overlay():
            return False  # their size or their place is the step's own
        case _:
            return False


def _below(path: str, other: str) -> bool:
    return path == other or path.startswith(other.rstrip("/") + "/")
