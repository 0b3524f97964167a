"""Where a step's mounts really are on the host: projections written, layers made, links refused."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cloche.kernel.caches import Cache
from cloche.model.paths import JailPath
from cloche.model.step import Access, Mount, Plan, Source, Step
from cloche.sandbox.mounts import BindReadOnly, BindWritable, MountOp, Overlay
from cloche.workspace.replica import Replica
from cloche.workspace.subtree import Subtree
from cloche.workspace.usage import measure_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The mounts of one step as operations, and where its writable ones can be read afterwards."""

    operations: tuple[MountOp, ...]
    written: Mapping[str, Path]
    """Mount target to the host directory that holds what the step wrote there."""
    uppers: Mapping[str, Path]
    """Cache name to the private layer above it."""
    replicas: tuple[Replica, ...] = ()
    """Copies that stand in for overlays: to be folded when the step has ended."""
    kept: tuple[Path, ...] = ()
    """Directories outside of the transaction that it writes to, and that stay."""

    def held(self) -> tuple[int, int]:
        """Give the bytes and files that were there before the program."""
        sizes = [replica.size for replica in self.replicas] + [measure_place(p) for p in self.kept]
        return sum(used for used, _ in sizes), sum(entries for _, entries in sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What places are made from: one run's transaction, caches, package and configuration."""

    transaction: Subtree
    caches: Mapping[str, Cache]
    user_config: tuple[BindReadOnly, ...]
    """Binds relative to the mount's target; see kernel.registry."""
    package: Path | None
    copies: bool = False
    """Whether copies stand for overlays."""
    hidden: tuple[str, ...] = ()
    """Paths of the project that no sandbox may see."""


def find_places(step: Step, plan: Plan, grounds: Grounds, *, number: int) -> Places:
    """Make everything the mounts of `step` refer to. `number` makes names unique in the run."""
    operations: list[MountOp] = []
    written: dict[str, Path] = {}
    uppers: dict[str, Path] = {}
    kept: list[Path] = []
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
            case Source.BUILD:
                directory = grounds.transaction.open_build(mount.ref)
                operations.append(BindWritable(source=str(directory), target=mount.target))
                written[mount.target] = directory
                kept.append(directory)
            case Source.PACKAGE:
                assert grounds.package is not None
                operations.append(_layered(mount, (grounds.package,), grounds.transaction, name))
            case Source.USER_CONFIG:
                operations += [_moved(bind, mount.target) for bind in grounds.user_config]
    stand_ins: list[tuple[MountOp, Replica | None]] = [
        _replicated(op, grounds, number) if grounds.copies else (op, None) for op in operations
    ]
    replicas = tuple(replica for _, replica in stand_ins if replica is not None)
    for replica in replicas:
        replica.make()
    return Places(
        operations=tuple(operation for operation, _ in stand_ins),
        written=written,
        uppers=uppers,
        replicas=replicas,
        kept=tuple(kept),
    )


def _replicated(
    operation: MountOp, grounds: Grounds, number: int
) -> tuple[MountOp, Replica | None]:
    """Give what stands for an overlay where none can be mounted, and the copy that it is."""
    if not isinstance(operation, Overlay):
        return operation, None
    transaction = grounds.transaction
    of_project = operation.lowers[-1] == str(transaction.base)
    # What is laid over several lowers, and is not the transaction's own, is thrown away: so the
    # first of them may be copied as an upper.
    thrown_away = len(operation.lowers) > 1 and operation.upper != str(transaction.upper)
    replica = Replica(
        upper=Path(operation.lowers[0] if thrown_away else operation.upper),
        lowers=tuple(map(Path, operation.lowers[1:] if thrown_away else operation.lowers)),
        home=transaction.scratch(f"copy-{number}-{operation.target.strip('/').replace('/', '-')}"),
        hidden=grounds.hidden if of_project else (),
        identity=transaction.base_identity if of_project else None,
        keeps=not thrown_away,
    )
    return BindWritable(source=str(replica.place), target=operation.target), replica


def _project(mount: Mount, transaction: Subtree, name: str) -> Overlay:
    if mount.access is Access.PRIVATE:
        return Overlay(
            lowers=tuple(map(str, transaction.lowers)),
            upper=str(transaction.upper),
            work=str(transaction.new_work()),
            target=mount.target,
            identity=transaction.base_identity,
        )
    # Reading: what is written goes to a layer that is thrown away.
    layers = _layered(mount, (transaction.upper, *transaction.lowers), transaction, name)
    return replace(layers, identity=transaction.base_identity)


def _layered(mount: Mount, lowers: tuple[Path, ...], transaction: Subtree, name: str) -> Overlay:
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
