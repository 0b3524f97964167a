"""What became of each part of a project, in a table at the end of a run."""

from collections.abc import Iterator
from dataclasses import dataclass

from cloche.model.event import ArtifactMade, StepFinished, UsageMeasured
from cloche.workspace.screen import shown

_WELL = ("ok", "warned")


@dataclass(slots=True)
class _Portion:
    steps: int = 0
    seconds: float = 0.0
    memory: int = 0
    failed: str = ""
    package: str = ""


class Portions:
    """Sums up the events of the parts; without parts it has nothing to say."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._of = {name: _Portion() for name in names}

    def finish(self, event: StepFinished, title: str, usage: UsageMeasured | None) -> None:
        """Count a step that ended."""
        if (portion := self._of.get(event.part)) is None:
            return
        portion.steps += 1
        if usage is not None:
            portion.seconds += usage.wall_seconds
            portion.memory = max(portion.memory, usage.memory_peak_bytes or 0)
        if event.outcome not in _WELL:
            portion.failed = title

    def make(self, event: ArtifactMade) -> None:
        """Note a package."""
        if (portion := self._of.get(event.part)) is not None:
            portion.package = event.path

    def rows(self, *, ok: bool) -> Iterator[str]:
        """Yield a line for each part: what became of it, its steps, their time and memory, its package."""
        width = max((len(shown(name)) for name in self._of), default=0)
        for name, portion in self._of.items():
            end = f"FAILED: {portion.failed}" if portion.failed else "ok" if ok else "not done"
            spent = f"{portion.steps:3} steps {portion.seconds:7.1f} s {portion.memory >> 20:6} MiB"
            more = shown(portion.package) if ok else ""
            yield f"  {shown(name):{width}}  {spent}  {shown(end)}  {more}".rstrip()
