"""Events as a person reads them, or as JSON lines. Everything from a sandbox is escaped here."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from cloche.errors import cut
from cloche.kernel.lines import harmless, printable
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
    StepFinished,
    StepSkipped,
    StepStarted,
    UsageMeasured,
    Waiting,
)
from cloche.model.event import Progress as Progressed
from cloche.model.limits import size_in_words
from cloche.model.trial import Trial, Verdict
from cloche.workspace.screen import shown

_TAIL = 30
_COMMIT = "commit"
_NEWEST = 60
_ENDS = {"ok": "ok", "failed": "FAILED", "limit": "LIMIT", "warned": "warned", "killed": "killed"}


class Shower(Protocol):
    """Shows the events of one run."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """End the show; harmless when repeated."""


def make_shower(*, as_json: bool, raw: bool = False, log: bool = False) -> Shower:
    """Choose by what the user asked for and by where the output goes."""
    if as_json:
        return JsonShower()
    return RawShower() if raw else PlainShower(log=log)


class JsonShower:
    """One JSON object a line, ASCII only."""

    def show(self, event: Event) -> None:
        """Print the wire form."""
        print(json.dumps(event.to_json(), ensure_ascii=True), flush=True)

    def close(self) -> None:
        """Nothing is open."""


class RawShower:
    """For `run`: the program's own output passes through as it is, ours goes to standard error."""

    def show(self, event: Event) -> None:
        """Pass output on; show refusals and what was committed."""
        match event:
            case Output():
                stream = sys.stderr if event.stream == "stderr" else sys.stdout
                stream.buffer.write(event.data)
                stream.flush()
            case Denied():
                _err(f"refused: {event.tried} ({event.rule})", event.remedy)
            case ChangesCommitted() if event.added + event.replaced + event.deleted:
                _err(_counts(event))
            case Waiting():
                _err(_waiting(event))
            case Note():
                _err(event.text)

    def close(self) -> None:
        """Nothing is open."""


class PlainShower:
    """Steps, their progress, what was refused, and at the end containment and artifact."""

    def __init__(self, *, log: bool = False) -> None:
        self._log = log
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._tails: dict[str, list[str]] = {}
        self._titles: dict[str, str] = {}
        self._barriers: dict[tuple[tuple[str, str], ...], list[str]] = {}
        self._trials: dict[tuple[tuple[str, str], ...], tuple[Trial, ...]] = {}
        self._reasons: dict[tuple[tuple[str, str], ...], tuple[str, ...]] = {}
        self._denied: list[Denied] = []
        self._usage: dict[str, UsageMeasured] = {}
        self._artifact: ArtifactMade | None = None
        self._open = ""  # the step whose output passes through

    def show(self, event: Event) -> None:  # noqa: C901, PLR0912 - one case an event
        """Show one event."""
        match event:
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
                line = f":{found.line}" if found.line else ""
                where = f"{found.file}{line}: " if found.file else ""
                self._say(f"    {found.severity.value}: {shown(where + found.message)}")
                if found.hint:
                    self._say(f"      {shown(found.hint)}")
            case UsageMeasured():
                self._usage[event.step] = event
            case StepFinished():
                self._finish(event)
            case StepSkipped():
                self._say(f"  {'kept':6} {shown(event.title):44} {event.why}", "green")
            case PreviewOpened():
                self._open = event.step
            case PreviewReady():
                self._say(f"  answers at {event.url}", "bold green")
            case Waiting():
                self._say(f"    {shown(_waiting(event))}", "yellow")
            case Note():
                self._say(f"  note: {shown(event.text)}")
            case ArtifactMade():
                self._artifact = event
            case ChangesCommitted():
                self._say(f"  {_counts(event)}")
            case RunFinished():
                self._end(event)

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _print(self, event: Output) -> None:
        """Keep the last lines for a failure; show them all with --log, or the newest beside the bar."""
        if event.step == self._open:
            _pass_through(event)
            return
        drawn = event.data.splitlines(keepends=True)
        lines = [printable(line) for line in drawn]
        # What ends with a bare carriage return is drawn over by what follows: a bar.
        lasting = [text for text, line in zip(lines, drawn, strict=True) if line[-1:] != b"\r"]
        tail = self._tails.setdefault(event.step, [])
        tail += lasting
        del tail[:-_TAIL]
        if self._log:
            for line in lasting:
                self._say(f"    | {shown(line)}")
        task = self._tasks.get(event.step)
        newest = next((line for line in reversed(lines) if line.strip()), "")
        if self._bars is not None and task is not None and newest:
            self._bars.update(task, tail=shown(newest.strip())[:_NEWEST].replace("[", "("))

    def _confine(self, event: Confined) -> None:
        """Group steps whose barriers are equally strong; the last of them gives the reasons."""
        rows = tuple((name, support) for name, support, _ in event.barriers)
        self._barriers.setdefault(rows, []).append(event.step)
        self._reasons[rows] = tuple(why for _, _, why in event.barriers)
        self._trials[rows] = event.trials

    def _start(self, event: StepStarted) -> None:
        self._titles[event.step] = event.title
        if event.step == self._open:
            self.close()  # bars would be drawn over it
        if self._bars is None and (event.step == self._open or not self._console.is_terminal):
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
            shown(event.title).replace("[", "("), total=event.expected or None, tail=""
        )

    def _advance(self, event: Progressed) -> None:
        task = self._tasks.get(event.step)
        if self._bars is not None and task is not None:
            self._bars.update(task, completed=event.done, total=event.total or None)

    def _finish(self, event: StepFinished) -> None:
        task = self._tasks.pop(event.step, None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)
        usage = self._usage.get(event.step)
        spent = f"{usage.wall_seconds:6.2f} s" if usage else ""
        if usage and usage.memory_peak_bytes:
            spent += f", {usage.memory_peak_bytes >> 20} MiB"
        if usage and usage.network_bytes:
            spent += f", {usage.network_bytes >> 10} KiB from the network"
        style = "green" if event.outcome == "ok" else "red"
        title = shown(self._titles.get(event.step, event.step))
        self._say(f"  {_ENDS.get(event.outcome, event.outcome):6} {title:44} {spent}", style)
        if event.outcome not in ("ok", "warned"):
            for line in () if self._log else self._tails.get(event.step, ()):
                self._say(f"         | {shown(line)}")
            if event.why:
                self._say(f"         {shown(event.why)}")
        self._tails.pop(event.step, None)

    def _end(self, event: RunFinished) -> None:
        self.close()
        if self._barriers:
            self._say("\nContainment (every barrier of every step)")
        for barriers, steps in self._barriers.items():
            names = list(dict.fromkeys(steps))
            last = f" (values are those of {steps[-1]})" if len(names) > 1 else ""
            self._say(f"  {', '.join(names)}{last}")
            for (name, support), why in zip(barriers, self._reasons[barriers], strict=True):
                self._say(f"    {support.upper():8} {name:22} {shown(why)}")
            for line in _tried(self._trials[barriers]):
                self._say(f"    {line}")
        if self._denied:
            self._say("\nRefused")
        for tried in cut(tuple(each.tried for each in self._denied if each.rule == _COMMIT)):
            self._say(f"  [{_COMMIT}] {shown(tried)}")
        for denied in (each for each in self._denied if each.rule != _COMMIT):
            times = f" ({denied.count} times)" if denied.count > 1 else ""
            self._say(f"  [{denied.rule}] {denied.step}: {shown(denied.tried)}{times}")
        if self._artifact is not None and event.outcome == "ok":
            made = self._artifact
            self._say(f"\nArtifact {shown(made.path)}", "bold")
            self._say(f"  sha256 {made.sha256}\n  {made.size} bytes, {made.files} files")
        style = "bold green" if event.outcome == "ok" else "bold red"
        self._say(f"\n{event.outcome} in {event.seconds:.1f} s", style)

    def _say(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style)


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


def _counts(event: ChangesCommitted) -> str:
    if not event.added + event.replaced + event.deleted:
        return "nothing in the project changed"
    return (
        f"committed {event.transaction}: {event.added} added, "
        f"{event.replaced} replaced, {event.deleted} deleted"
    )


def _waiting(event: Waiting) -> str:
    if event.reason == "project":
        pid = event.holders[0].pid
        holder = f"process {pid}" if pid else "another process"
        return (
            f"waiting for the project, which {holder} works on: {_ordinal(event.position)} in line"
        )
    what = {"memory": "memory", "sandboxes": "a free sandbox"}.get(event.reason, "its turn")
    held = "; ".join(
        f"{h.step} of {h.project} holds {size_in_words(h.memory_bytes)}" for h in event.holders
    )
    return (
        f"waiting for {what}: {_ordinal(event.position)} in the queue, "
        f"{size_in_words(event.wanted_bytes)} wanted, {size_in_words(event.free_bytes)} free of "
        f"{size_in_words(event.budget_bytes)}{f'; {held}' if held else ''}"
    )


def _ordinal(number: int) -> str:
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _err(text: str, remedy: str = "") -> None:
    print(
        f"cloche: {shown(text)}" + (f"\n        {shown(remedy)}" if remedy else ""), file=sys.stderr
    )
