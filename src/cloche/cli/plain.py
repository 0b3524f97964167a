"""The events of a run as a person reads them: steps, their progress, and at the end what held."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from cloche.cli.portions import Portions
from cloche.cli.tail import Tail
from cloche.cli.words import counts_in_words, waiting_in_words
from cloche.errors import cut
from cloche.kernel.lines import harmless
from cloche.model.diagnostic import Severity
from cloche.model.event import (
    ArtifactMade,
    ChangesCommitted,
    Confined,
    Denied,
    Event,
    Found,
    Note,
    Output,
    PreviewOpened,
    PreviewReady,
    RunFinished,
    RunStarted,
    StepFinished,
    StepSkipped,
    StepStarted,
    UsageMeasured,
    Waiting,
)
from cloche.model.event import Progress as Progressed
from cloche.model.trial import Trial, Verdict
from cloche.workspace.screen import shown

_COMMIT = "commit"
_NEWEST = 60
_ENDS = {"ok": "ok", "failed": "FAILED", "limit": "LIMIT", "warned": "warned", "killed": "killed"}


class PlainShower:
    """Steps, their progress, what was refused, and at the end containment and artifact."""

    def __init__(self, *, log: bool = False) -> None:
        self._log = log
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._tails: dict[str, Tail] = {}
        self._diagnosed: set[str] = set()
        """Steps of which an error was told."""
        self._counted: set[str] = set()
        """Steps whose progress has words of its own."""
        self._portions = Portions(())
        self._titles: dict[str, str] = {}
        self._barriers: dict[tuple[tuple[str, str], ...], list[str]] = {}
        self._trials: dict[tuple[tuple[str, str], ...], tuple[Trial, ...]] = {}
        self._reasons: dict[tuple[tuple[str, str], ...], tuple[str, ...]] = {}
        self._denied: list[Denied] = []
        self._usage: dict[str, UsageMeasured] = {}
        self._artifacts: list[ArtifactMade] = []
        self._opened: set[str] = set()
        """Steps whose output is what a person came for."""
        self._part = ""
        """Of the event that is shown."""
        self._width = 0

    def show(self, event: Event) -> None:  # noqa: C901, PLR0912 - one case an event
        """Show one event."""
        self._part = event.part
        match event:
            case RunStarted():
                self._begin(event)
            case StepStarted():
                self._start(event)
            case Output():
                self._print(event)
            case Progressed():
                self._advance(event)
            case Confined():
                self._confine(event)
            case Denied():
                self._denied.append(event)
                if event.rule != _COMMIT:  # there may be as many as files: told at the end, cut
                    self._say(f"    refused: {shown(event.tried)}", "yellow")
            case Found():
                found = event.diagnostic
                if found.severity is Severity.ERROR:
                    self._diagnosed.add(event.step)
                line = f":{found.line}" if found.line else ""
                where = f"{found.file}{line}: " if found.file else ""
                kind = f"{found.severity.value} {found.code}".rstrip()
                self._say(f"    {shown(kind)}: {shown(where + found.message)}")
                if found.hint:
                    self._say(f"      {shown(found.hint)}")
            case UsageMeasured():
                self._usage[event.step] = event
            case StepFinished():
                self._finish(event)
            case StepSkipped():
                self._say(f"  {'kept':6} {shown(event.title):44} {event.why}", "green")
            case PreviewOpened():
                self._opened.add(event.step)
            case PreviewReady():
                self._say(f"  answers at {event.url}", "bold green")
            case Waiting():
                self._say(f"    {shown(waiting_in_words(event))}", "yellow")
            case Note():
                self._say(f"  note: {shown(event.text)}")
            case ArtifactMade():
                self._artifacts.append(event)
                self._portions.make(event)
            case ChangesCommitted():
                self._say(f"  {counts_in_words(event)}")
            case RunFinished():
                self._end(event)

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _print(self, event: Output) -> None:
        """Keep the last lines for a failure; show them all with --log, or the newest beside the bar."""
        if event.step in self._opened and not self._part:
            _pass_through(event)
            return
        tail = self._tails.setdefault(event.step, Tail())
        ended = tail.feed(event.stream, event.data)
        if self._log:
            self._say_lines(ended)
        if event.step not in self._counted:
            self._say_beside(event.step, tail.newest)

    def _say_lines(self, lines: Iterable[str], margin: str = "    ") -> None:
        for line in lines:
            self._say(f"{margin}| {shown(line)}")

    def _say_beside(self, step: str, text: str) -> None:
        task = self._tasks.get(step)
        if self._bars is not None and task is not None and text:
            self._bars.update(task, tail=shown(text)[:_NEWEST].replace("[", "("))

    def _confine(self, event: Confined) -> None:
        """Group steps whose barriers are equally strong; the last of them gives the reasons."""
        rows = tuple((name, support) for name, support, _ in event.barriers)
        self._barriers.setdefault(rows, []).append(event.step)
        self._reasons[rows] = tuple(why for _, _, why in event.barriers)
        self._trials[rows] = event.trials

    def _start(self, event: StepStarted) -> None:
        self._titles[event.step] = event.title
        alone = event.step in self._opened and not self._part
        if alone:
            self.close()  # bars would be drawn over it
        if self._bars is None and (alone or not self._console.is_terminal):
            self._say(f"  ... {shown(event.title)}")
            return
        if self._bars is None:
            self._bars = Progress(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[tail]}"),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        self._tasks[event.step] = self._bars.add_task(
            self._labelled(shown(event.title)).replace("[", "("),
            total=event.expected or None,
            tail="",
        )

    def _advance(self, event: Progressed) -> None:
        task = self._tasks.get(event.step)
        if self._bars is not None and task is not None:
            self._bars.update(task, completed=event.done, total=event.total or None)
        if event.label:
            self._counted.add(event.step)
            self._say_beside(event.step, event.label)

    def _finish(self, event: StepFinished) -> None:
        task = self._tasks.pop(event.step, None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)
        tail = self._tails.pop(event.step, Tail())
        rest = tail.end()
        if self._log:
            self._say_lines(rest)
        usage = self._usage.get(event.step)
        spent = f"{usage.wall_seconds:6.2f} s" if usage else ""
        if usage and usage.memory_peak_bytes:
            spent += f", {usage.memory_peak_bytes >> 20} MiB"
        if usage and usage.network_bytes:
            spent += f", {usage.network_bytes >> 10} KiB from the network"
        style = "green" if event.outcome == "ok" else "red"
        title = shown(self._titles.get(event.step, event.step))
        self._portions.finish(event, title, usage)
        self._say(f"  {_ENDS.get(event.outcome, event.outcome):6} {title:44} {spent}", style)
        if event.outcome not in ("ok", "warned"):
            if not self._log:
                self._say_lines(tail.lines(diagnosed=event.step in self._diagnosed), " " * 9)
            if event.why:
                self._say(f"         {shown(event.why)}")

    def _end(self, event: RunFinished) -> None:
        self.close()
        self._tell_barriers()
        self._tell_denials()
        ok = event.outcome == "ok"
        for made in self._artifacts if ok else ():
            self._say(f"\nArtifact {shown(made.path)}", "bold")
            self._say(f"  sha256 {made.sha256}\n  {made.size} bytes, {made.files} files")
        rows = () if event.outcome == "cancelled" else tuple(self._portions.rows(ok=ok))
        if rows:
            self._say("\n".join(("\nParts", *rows)))
        self._say(f"\n{event.outcome} in {event.seconds:.1f} s", f"bold {'green' if ok else 'red'}")

    def _tell_barriers(self) -> None:
        if self._barriers:
            self._say("\nContainment (every barrier of every step)")
        for barriers, steps in self._barriers.items():
            names = list(dict.fromkeys(steps))
            last = f" (values are those of {steps[-1]})" if len(names) > 1 else ""
            self._say(shown(f"  {', '.join(names)}{last}"))
            for (name, support), why in zip(barriers, self._reasons[barriers], strict=True):
                self._say(f"    {support.upper():8} {name:22} {shown(why)}")
            for line in _tried(self._trials[barriers]):
                self._say(f"    {line}")

    def _tell_denials(self) -> None:
        if self._denied:
            self._say("\nRefused")
        for tried in cut(tuple(each.tried for each in self._denied if each.rule == _COMMIT)):
            self._say(f"  [{_COMMIT}] {shown(tried)}")
        for denied in (each for each in self._denied if each.rule != _COMMIT):
            times = f" ({denied.count} times)" if denied.count > 1 else ""
            self._say(f"  [{denied.rule}] {shown(denied.step)}: {shown(denied.tried)}{times}")

    def _begin(self, event: RunStarted) -> None:
        if len(event.parts) > 1:
            self._portions = Portions(tuple(name for name, _ in event.parts))
            self._width = max(len(shown(name)) for name, _ in event.parts)
            self._say("  parts: " + ", ".join(f"{shown(n)} ({shown(s)})" for n, s in event.parts))

    def _labelled(self, text: str) -> str:
        return f"{shown(self._part):{self._width}}  {text}" if self._part else text

    def _say(self, text: str, style: str | None = None) -> None:
        self._console.print(f"  {self._labelled(text)}" if self._part else text, style=style)


def _pass_through(event: Output) -> None:
    """Print what a program says as it says it, also a prompt; nothing that a terminal would obey."""
    stream = sys.stderr if event.stream == "stderr" else sys.stdout
    stream.flush()
    stream.buffer.write("\n".join(map(harmless, event.data.split(b"\n"))).encode())
    stream.flush()


def _tried(trials: Sequence[Trial]) -> Iterator[str]:
    """Yield how many trials were held, and each that was not."""
    held = sum(trial.verdict is Verdict.HELD for trial in trials)
    yield f"{'TRIED':8} {f'{held} of {len(trials)} held':22} from inside, before the program started"
    for trial in trials:
        if trial.verdict is not Verdict.HELD:
            yield f"{trial.verdict.value.upper():8} {trial.name:22} {shown(trial.detail)}"
