"""Cloche: an execution kernel for code nobody trusts.

    async with Kernel.open() as kernel:
        project = await kernel.project("path/to/app")
        result = await project.ship()

Start at `Kernel`; every failure is a `ClocheError`. Names are loaded when first
used, so that importing one part (`cloche.model`, say) does not pull in the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.assembly import Kernel
    from cloche.capability.capability import Capability, Resource
    from cloche.capability.constraint import Constraints
    from cloche.errors import ClocheError
    from cloche.kernel.context import ExecutionContext, KernelSettings, RunOptions, RunResult
    from cloche.kernel.project import Project
    from cloche.kernel.run import Run
    from cloche.model.conflicts import Conflicts
    from cloche.model.hosts import NetworkMode

__all__ = [
    "Capability",
    "ClocheError",
    "Conflicts",
    "Constraints",
    "ExecutionContext",
    "Kernel",
    "KernelSettings",
    "NetworkMode",
    "Project",
    "Resource",
    "Run",
    "RunOptions",
    "RunResult",
]

_HOMES = {
    "Capability": "cloche.capability.capability",
    "ClocheError": "cloche.errors",
    "Conflicts": "cloche.model.conflicts",
    "Constraints": "cloche.capability.constraint",
    "ExecutionContext": "cloche.kernel.context",
    "Kernel": "cloche.assembly",
    "KernelSettings": "cloche.kernel.context",
    "NetworkMode": "cloche.model.hosts",
    "Project": "cloche.kernel.project",
    "Resource": "cloche.capability.capability",
    "Run": "cloche.kernel.run",
    "RunOptions": "cloche.kernel.context",
    "RunResult": "cloche.kernel.context",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cloche' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
