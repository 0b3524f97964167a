"""Where a step's mounts really are on the host: projections written, layers made, links refused."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cloche.kernel.caches import Cache
from cloche.model.paths import JailPath
from cloche.model.step import Access, Mount, Plan, Source, Step
from cloche.sandbox.mounts import BindReadOnly, BindWritable, MountOp, Overlay
from cloche.workspace.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The mounts of one step as operations, and where its writable ones can be read afterwards."""

    operations: tuple[MountOp, ...]
    written: Mapping[str, Path]
    """Mount target to the host directory that holds what the step wrote there."""
    uppers: Mapping[str, Path]
    """Cache name to the private layer above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What places are made from: one run's transaction, caches, package and configuration."""

    transaction: Transaction
    caches: Mapping[str, Cache]
    user_config: tuple[BindReadOnly, ...]
    """Binds relative to the mount's target; see kernel.registry."""
    package: Path | None


def find_places(step: Step, plan: Plan, grounds: Grounds, *, number: int) -> Places:
    """Make everything the mounts of `step` refer to. `number` makes names unique in the run."""
    operations: list[MountOp] = []
    written: dict[str, Path] = {}
    uppers: dict[str, Path] = {}
    for place, mount in enumerate(step.mounts):
        name = f"{step.id}-{number}-{place}"
        match mount.source:
            case Source.PROJECT:
                operations.append(_project(mount, grounds.transaction, name))
            case Source.PROJECTION:
                directory = grounds.transaction.scratch(name)
                _write_projection(directory, _projection(plan, mount.ref))
                operations.append(BindWritable(source=str(directory), target=mount.target))
                written[mount.target] = directory
            case Source.CACHE:
                overlay = _layered(
                    mount, (grounds.caches[mount.ref].content,), grounds.transaction, name
                )
                uppers[mount.ref] = Path(overlay.upper)
                operations.append(overlay)
            case Source.SCRATCH:
                directory = grounds.transaction.scratch(name)
                operations.append(BindWritable(source=str(directory), target=mount.target))
                written[mount.target] = directory
            case Source.PACKAGE:
                assert grounds.package is not None
                operations.append(_layered(mount, (grounds.package,), grounds.transaction, name))
            case Source.USER_CONFIG:
                operations += [_moved(bind, mount.target) for bind in grounds.user_config]
    return Places(operations=tuple(operations), written=written, uppers=uppers)


def _project(mount: Mount, transaction: Transaction, name: str) -> Overlay:
    if mount.access is Access.PRIVATE:
        return Overlay(
            lowers=(str(transaction.base),),
            upper=str(transaction.upper),
            work=str(transaction.new_work()),
            target=mount.target,
            identity=transaction.base_identity,
        )
    # Reading: what is written goes to a layer that is thrown away.
    layers = _layered(mount, (transaction.upper, transaction.base), transaction, name)
    return replace(layers, identity=transaction.base_identity)


def _layered(
    mount: Mount, lowers: tuple[Path, ...], transaction: Transaction, name: str
) -> Overlay:
    upper = transaction.scratch(f"{name}-upper")
    work = transaction.scratch(f"{name}-work")
    return Overlay(
        lowers=tuple(map(str, lowers)), upper=str(upper), work=str(work), target=mount.target
    )


def _projection(plan: Plan, ref: str) -> Mapping[str, bytes]:
    return next(projection.files for projection in plan.projections if projection.ref == ref)


def _write_projection(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        target = directory.joinpath(*JailPath.parse(name).parts)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)


def _moved(bind: BindReadOnly, target: str) -> BindReadOnly:
    inside = bind.target if bind.target.startswith("/") else f"{target}/{bind.target}"
    return BindReadOnly(source=bind.source, target=inside, optional=True, of_user=bind.of_user)
