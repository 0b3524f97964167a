"""One contender against all attacks: every verdict, and what to make of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cloche.redteam.bait import Bait, laid_out
from cloche.redteam.contender import Contender
from cloche.redteam.program import argv
from cloche_redteam import corpus
from cloche_redteam.attack import Attack
from cloche_redteam.runner import ESCAPED, HELD, UNABLE

PYTHON = "/usr/bin/python3"  # in /usr, which every contender shows
_LONGEST = 400
_SILENT = "the sandbox ended first, without a word"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one attack came to."""

    attack: str
    layer: str
    verdict: str
    """escaped, held, or unable: this machine cannot show it."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one contender came to."""

    contender: str
    verdicts: tuple[Verdict, ...]

    def ran_nothing(self) -> bool:
        """Tell whether no attack said a word: then nothing was held, it was not there."""
        return all(each.detail == _SILENT for each in self.verdicts)

    def escapes(self) -> tuple[Verdict, ...]:
        """Give the attacks that got out."""
        return tuple(each for each in self.verdicts if each.verdict == ESCAPED)

    def count(self, layer: str, verdict: str) -> int:
        """Count verdicts of a kind in a layer."""
        return sum((each.layer, each.verdict) == (layer, verdict) for each in self.verdicts)


def attacks(chosen: Iterable[str] = ()) -> Mapping[str, Attack]:
    """Give all attacks by name, or those whose name or layer is `chosen`."""
    wanted = set(chosen)
    known = corpus.load()
    return {n: a for n, a in known.items() if not wanted or wanted & {n, a.layer}}


async def try_out(contender: Contender, chosen: Mapping[str, Attack]) -> Report:
    """Run the attacks in the contender: most in one sandbox, those that may end it in one each."""
    together = tuple(name for name, attack in chosen.items() if not attack.alone)
    alone = [(name,) for name, attack in chosen.items() if attack.alone]
    verdicts: list[Verdict] = []
    admitted = await contender.admits() if contender.admits else {}
    with laid_out() as laid:
        bait = replace(laid, words={**laid.words, **admitted})
        runs = ([together] if together else []) + alone
        while runs:
            names = runs.pop(0)
            told, last_words = await _one_run(contender, names, bait)
            silent = [name for name in names if name not in told]
            if len(names) > 1:
                # One of them ended the sandbox: what did not get its turn gets a sandbox of its own.
                runs += [(name,) for name in silent]
            elif silent:
                told = {silent[0]: (HELD, _ended_first(last_words))}
            verdicts += [_verdict(chosen[name], *told[name]) for name in names if name in told]
    return Report(contender=contender.name, verdicts=tuple(verdicts))


def _verdict(attack: Attack, verdict: str, detail: str) -> Verdict:
    return Verdict(attack=attack.name, layer=attack.layer, verdict=verdict, detail=detail)


def _ended_first(last_words: str) -> str:
    return f"the sandbox ended first ({last_words})" if last_words else _SILENT


async def _one_run(
    contender: Contender, names: tuple[str, ...], bait: Bait
) -> tuple[dict[str, tuple[str, str]], str]:
    """Give (name to verdict and detail of those that spoke, the last line that was printed)."""
    with TemporaryDirectory(prefix="cloche-redteam-", ignore_cleanup_errors=True) as name:
        project = Path(name)
        project.chmod(0o755)
        said = await contender.run(argv(PYTHON, json.dumps(dict(bait.words)), names), project)
    lines = said.splitlines()
    told = {name: answer for name, answer in _read(lines) if name in names}
    last_words = next((line[:80] for line in reversed(lines) if line.strip()), "")
    return told, last_words


def _read(lines: list[str]) -> Iterable[tuple[str, tuple[str, str]]]:
    """Read what came out of a sandbox: hostile, so anything but a verdict is passed over."""
    for line in lines:
        try:
            fields = json.loads(line)
            verdict, detail = str(fields["verdict"]), str(fields["detail"])
            name = str(fields["attack"])
        except (ValueError, KeyError, TypeError):
            continue
        if verdict in (ESCAPED, HELD, UNABLE):
            yield name, (verdict, detail[:_LONGEST])
