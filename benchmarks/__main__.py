"""`make bench`: the table of ratios, and the machine it was measured on."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from benchmarks import alive, build, commit, left, spawn
from benchmarks.measure import Figure, Row, machine
from cloche import ClocheError

_SUITES: dict[str, Callable[[], Awaitable[Sequence[Row | Figure]]]] = {
    "spawn": spawn.rows,
    "alive": alive.rows,
    "left": left.rows,
    "build": build.rows,
    "commit": commit.rows,
}


async def main(names: list[str]) -> None:
    """Run the suites named, all when none is. A missed target is told, and is no failure: machines differ."""
    print(f"{machine()}\n")
    print(
        f"{'what':50} {'peer':8} {'ours':>10} {'peer':>10} {'ratio':>8} {'quartiles':>15}  target"
    )
    for name in names or list(_SUITES):
        for row in await _SUITES[name]():
            _show(row)


def _show(row: Row | Figure) -> None:
    if isinstance(row, Figure):
        verdict = "held" if row.holds else "MISSED"
        promised = f"  {row.target} {verdict}" if row.target else ""
        print(f"{row.name:50} {row.found}{promised}", flush=True)
        return
    if row.missing:
        print(f"{row.name:50} {row.peer_name:8} not measured: {row.missing}", flush=True)
        return
    low, high = row.spread
    ratio, quartiles = f"{row.ratio:8.4f}", f"{low:.4f}-{high:.4f}"
    verdict = ""
    if row.target is not None:
        verdict = f"<= {row.target:g} {'held' if row.ratio <= row.target else 'MISSED'}"
    times = f"{row.ours * 1e3:7.1f} ms {row.peer * 1e3:7.1f} ms"
    print(f"{row.name:50} {row.peer_name:8} {times} {ratio} {quartiles:>15}  {verdict}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except ClocheError as error:
        sys.exit(error.explain())
