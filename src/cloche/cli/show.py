"""Events as a person reads them, or as JSON lines. Everything from a sandbox is escaped here."""

import json
import sys
from typing import Protocol

from cloche.cli.plain import PlainShower
from cloche.cli.words import counts_in_words, waiting_in_words
from cloche.model.event import (
    ChangesCommitted,
    Denied,
    Event,
    Note,
    Output,
    Waiting,
)
from cloche.workspace.screen import shown


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
                _err(counts_in_words(event))
            case Waiting():
                _err(waiting_in_words(event))
            case Note():
                _err(event.text)

    def close(self) -> None:
        """Nothing is open."""


def _err(text: str, remedy: str = "") -> None:
    print(
        f"cloche: {shown(text)}" + (f"\n        {shown(remedy)}" if remedy else ""), file=sys.stderr
    )
