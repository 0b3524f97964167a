"""I1-I8: what no plan may break, checked before anything of it runs. Pure."""

import re
from collections.abc import Iterable

from cloche.kernel.errors import InvariantBroken
from cloche.model.limits import LIMIT_CLASSES
from cloche.model.paths import JailPath, PathOutsideJail
from cloche.model.step import HEAP, Access, Mount, Net, Plan, Source, Step, Trust

_REFERENCE = re.compile(r"@[a-z][a-z0-9-]*(/(?!\.\.?(/|\Z))[A-Za-z0-9._-]+)+\Z")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "busybox"})
# Variables that make a loader, interpreter or tool run other code than the argv says.
_KERNEL_ONLY = re.compile(
    r"(LD_|DYLD_|GIT_|PYTHON|PERL|RUBY|RUSTC|RUSTUP_|DOTNET_STARTUP_HOOKS|DOTNET_ROOT"
    r"|NUGET_PLUGIN|BASH_ENV\Z|ENV\Z|SHELLOPTS\Z|ELECTRON_RUN_AS_NODE\Z|PATH\Z|HOME\Z|NODE_PATH\Z)"
)
# These may say "the very tool that was found", or nothing at all.
_TOOLS_OWN = frozenset(
    {"RUSTC", "RUSTDOC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "DOTNET_ROOT"}
)
_TOOL = re.compile(r"@[a-z][a-z0-9-]*(/(?!\.\.?(/|\Z))[A-Za-z0-9._-]+)*\Z")
_HEAP_ONLY = re.compile(rf"--max-old-space-size=(?:[0-9]+|{re.escape(HEAP)})\Z")


def check_plan(plan: Plan, *, by_person: bool = False) -> None:
    """Raise InvariantBroken for the first rule that a step of `plan` breaks.

    `by_person` is for the one step of `cloche run`: its argv is the user's own.
    """
    known: set[str] = set()
    projections = {projection.ref for projection in plan.projections}
    for step in plan.steps:
        _check_authority(step)
        _check_mounts(step, projections)
        if not by_person:
            _check_argv(step)
        _check_environment(step)
        _check_outputs(step)
        if step.limits not in LIMIT_CLASSES:
            raise InvariantBroken(step.id, "I7", f"unknown class of limits {step.limits!r}")
        if step.id in known:
            raise InvariantBroken(step.id, "I6", "two steps have this name")
        known.add(step.id)
    for step in plan.steps:
        if step.fallback is not None and step.fallback not in known:
            raise InvariantBroken(
                step.id, "I6", f"its fallback {step.fallback!r} is not in the plan"
            )


def _check_authority(step: Step) -> None:
    # (I1) A registry and project code never meet in one step.
    if step.trust is Trust.PROJECT and step.net is Net.REGISTRY:
        raise InvariantBroken(step.id, "I1", "project code may not reach a registry")
    # (I2) A step with a registry never sees the project, or what a project's step wrote.
    if step.net is Net.REGISTRY:
        for mount in step.mounts:
            if mount.source in (Source.PROJECT, Source.PACKAGE):
                raise InvariantBroken(
                    step.id, "I2", f"{mount.target} shows the project to a fetch step"
                )
        if step.cwd == "/project":
            raise InvariantBroken(step.id, "I2", "a fetch step's directory is a projection")
    # (I8) What project code left is read by no tool that is trusted.
    if step.trust is Trust.TOOL and _any(step.mounts, Source.BUILD):
        raise InvariantBroken(step.id, "I8", "a tool step may not see what builds left")
    # (I8) The user's configuration holds credentials: tool code only.
    if step.trust is Trust.PROJECT and _any(step.mounts, Source.USER_CONFIG):
        raise InvariantBroken(
            step.id, "I8", "project code may not read the user's tool configuration"
        )


def _any(mounts: Iterable[Mount], source: Source) -> bool:
    return any(mount.source is source for mount in mounts)


def _check_mounts(step: Step, projections: set[str]) -> None:
    targets: set[str] = set()
    for mount in step.mounts:
        if not mount.target.startswith("/") or ".." in mount.target.split("/"):
            raise InvariantBroken(step.id, "I6", f"mount target {mount.target!r} is not absolute")
        if mount.target in targets:
            raise InvariantBroken(step.id, "I6", f"two mounts at {mount.target}")
        targets.add(mount.target)
        if mount.source is Source.PROJECTION and mount.ref not in projections:
            raise InvariantBroken(step.id, "I6", f"projection {mount.ref!r} is not in the plan")
        # (I4) A shared cache is never written in place; (project, cache) both writable never meet.
        if mount.source is Source.CACHE and mount.access is Access.WRITE:
            raise InvariantBroken(
                step.id, "I4", "a shared cache is written through a private layer only"
            )
        if mount.source in (Source.PROJECT, Source.USER_CONFIG, Source.PACKAGE) and (
            mount.access is Access.WRITE
        ):
            raise InvariantBroken(step.id, "I4", f"{mount.source.value} is never writable in place")


def _check_argv(step: Step) -> None:
    # (I5) The program is a toolchain's own, or where project code runs anyway what it built; and no
    # text is handed to a shell.
    is_built = step.trust is Trust.PROJECT and any(
        step.argv[0].startswith(f"{mount.target}/") and ".." not in step.argv[0].split("/")
        for mount in step.mounts
    )
    if not is_built and not _REFERENCE.match(step.argv[0]):
        raise InvariantBroken(step.id, "I5", f"{step.argv[0]!r} is not a toolchain reference")
    if step.argv[0].rsplit("/", 1)[-1] in _SHELLS:
        raise InvariantBroken(step.id, "I5", "a shell is not a toolchain's program")


def _check_environment(step: Step) -> None:
    for key, value in step.env.items():
        if key in _TOOLS_OWN and (_TOOL.match(value) or not value):
            continue
        if _KERNEL_ONLY.match(key):
            raise InvariantBroken(step.id, "I5", f"the variable {key} is the kernel's to set")
        if key == "NODE_OPTIONS" and not _HEAP_ONLY.match(value):
            raise InvariantBroken(step.id, "I5", "NODE_OPTIONS may set the size of the heap only")


def _check_outputs(step: Step) -> None:
    for output in step.outputs:
        home = next(
            (
                m
                for m in step.mounts
                if output.path == m.target or output.path.startswith(f"{m.target}/")
            ),
            None,
        )
        if home is None or home.access is Access.READ:
            raise InvariantBroken(step.id, "I6", f"{output.path} is not inside a writable mount")
        # (I3) Only tool code over linted input may add to what others share.
        if output.promote and step.trust is not Trust.TOOL:
            raise InvariantBroken(step.id, "I3", "project code may not add to a shared cache")
        if output.commit_to:
            try:
                JailPath.parse(output.commit_to)
            except PathOutsideJail as error:
                raise InvariantBroken(step.id, "I6", str(error)) from error
