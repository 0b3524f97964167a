"""`cloche redteam`: every attack, against Cloche and against whoever else is here, as a table."""

import argparse
import dataclasses
import json
from collections.abc import Sequence

from cloche.assembly import Kernel
from cloche.errors import ClocheError, InvalidValue
from cloche.redteam.contender import cloche, peers
from cloche.redteam.trial import Report, attacks, try_out
from cloche.workspace.screen import shown
from cloche_redteam.attack import LAYERS
from cloche_redteam.runner import ESCAPED, HELD, UNABLE

_MARKS = {ESCAPED: "ESCAPED", HELD: "held", UNABLE: "-"}


class GotOut(ClocheError):
    """An attack of the red team got out of Cloche's sandbox, or did what it must not."""

    code = "got-out"
    exit_status = 89
    remedy = "Report it privately with the output of `cloche doctor`, as SECURITY.md says."

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("attacks that got out", reasons)


class TriedNothing(ClocheError):
    """Cloche's sandbox ran none of the attacks, so nothing is known of it."""

    code = "tried-nothing"
    exit_status = 88
    remedy = "Run `cloche doctor`; the attacks are run by /usr/bin/python3, which must be there."

    def __init__(self) -> None:
        super().__init__("no attack said a word")


async def redteam(kernel: Kernel, arguments: argparse.Namespace) -> int:
    """Run the attacks. Raises GotOut when one of them escapes from Cloche."""
    chosen = attacks(arguments.attack)
    if not chosen:
        raise InvalidValue("attack", " ".join(arguments.attack), "a layer or the name of an attack")
    if arguments.list:
        for name, attack in chosen.items():
            print(f"{attack.layer:16} {name}\n{'':16}   {attack.title} ({attack.source})")
        return 0
    contenders = [cloche(kernel), *(peers() if arguments.peers else ())]
    reports = []
    for contender in contenders:
        if contender.missing:
            print(f"not tried: {contender.missing}")
            continue
        report = await try_out(contender, chosen)
        if report.ran_nothing():
            print(f"not tried: {contender.name} did not run any of the attacks")
            continue
        reports.append(report)
        _show_verdicts(reports[-1], as_json=arguments.json)
    if not arguments.json:
        _show_table(reports)
    ours = [report for report in reports if report.contender == contenders[0].name]
    if not ours:
        raise TriedNothing
    escaped = [f"{v.layer}: {v.attack}: {v.detail}" for v in ours[0].escapes()]
    if escaped:
        raise GotOut(tuple(map(shown, escaped)))
    return 0


def _show_verdicts(report: Report, *, as_json: bool) -> None:
    if as_json:
        for verdict in report.verdicts:
            line = {"type": "verdict", "contender": report.contender}
            print(json.dumps(line | dataclasses.asdict(verdict)), flush=True)
        return
    print(f"\n{report.contender}")
    for verdict in report.verdicts:
        mark = _MARKS[verdict.verdict]
        print(f"  {mark:8} {verdict.layer:16} {verdict.attack:44} {shown(verdict.detail)[:90]}")


def _show_table(reports: Sequence[Report]) -> None:
    print(f"\n{'escaped / tried':16}", *(f"{report.contender:>10}" for report in reports))
    for layer in (*LAYERS, "all"):
        cells = [_cell(report, LAYERS if layer == "all" else (layer,)) for report in reports]
        print(f"{layer:16}", *(f"{cell:>10}" for cell in cells))


def _cell(report: Report, layers: Sequence[str]) -> str:
    escaped = sum(report.count(layer, ESCAPED) for layer in layers)
    tried = escaped + sum(report.count(layer, HELD) for layer in layers)
    return f"{escaped}/{tried}" if tried else "-"
