"""Two ways of doing one thing, timed in turns, so that what else the machine does strikes both."""

import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

Action = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line that is no comparison of times: what was found, and what we promise of it."""

    name: str
    found: str
    target: str = ""
    holds: bool = True
    """Whether the target is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: `ours` and `peer` in seconds (medians), and what we promise of the ratio."""

    name: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    """Median of the ratios of the turns."""
    spread: tuple[float, float]
    """First and third quartile of those ratios."""
    target: float | None
    turns: int
    missing: str = ""
    """Why nothing was measured, when nothing was."""


async def compare(
    name: str,
    ours: Action,
    peers: Mapping[str, Action],
    *,
    turns: int,
    targets: Mapping[str, float] = MappingProxyType({}),
    reset: Action | None = None,
) -> list[Row]:
    """Time each action `turns` times, alternating; one row a peer. The first turn only warms.

    `targets` gives by a peer's name what the ratio is to be at most.
    """
    times: dict[str, list[float]] = {"": [], **{peer: [] for peer in peers}}
    for _ in range(turns + 1):
        for key, action in {"": ours, **peers}.items():
            began = time.perf_counter()
            await action()
            times[key].append(time.perf_counter() - began)
            if reset is not None:
                await reset()
    mine = times.pop("")[1:]
    return [ratios(name, mine, peer, found[1:], targets.get(peer)) for peer, found in times.items()]


def ratios(
    name: str, mine: list[float], peer: str, found: list[float], target: float | None
) -> Row:
    """Give the row of times, in seconds, that were taken in turns."""
    each = [a / b for a, b in zip(mine, found, strict=True)]
    low, middle, high = statistics.quantiles(each, n=4) if len(each) > 1 else [each[0]] * 3
    return Row(
        name=name,
        ours=statistics.median(mine),
        peer=statistics.median(found),
        peer_name=peer,
        ratio=middle,
        spread=(low, high),
        target=target,
        turns=len(mine),
    )


def missing(name: str, peer_name: str, why: str) -> Row:
    """Give the row of something that this machine cannot measure."""
    return Row(
        name=name,
        ours=0,
        peer=0,
        peer_name=peer_name,
        ratio=0,
        spread=(0, 0),
        target=None,
        turns=0,
        missing=why,
    )


def machine() -> str:
    """Describe the machine in one line: a ratio travels, a time does not."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, as {who}"
    )
