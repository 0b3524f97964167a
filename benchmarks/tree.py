"""A tree of about the shape that npm leaves.

Sizes and places are rounded from what was counted in the node_modules of npm itself and of a create-next-app project (12,634 files). The one
file in two hundred that is larger than this table (binaries, up to 100 MB) is left out: it would
make every copy look slow and change nothing of ours.
"""

import random
from itertools import accumulate
from pathlib import Path

# Bytes at the 0th, 1st, 5th, 10th, 25th, 50th, 75th, 90th, 95th, 98th and 99.5th percentile.
_PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 98, 99.5)
_BYTES = (0, 38, 74, 110, 350, 1_250, 5_000, 15_000, 35_000, 100_000, 400_000)
# Files in one directory, and how many directories of a hundred have that many.
_FILES = (1, 2, 4, 8, 16, 30, 75)
_WEIGHTS = tuple(accumulate((25, 20, 18, 15, 10, 7, 5)))
_MOST_DEPTH = 5


def fill(root: Path, entries: int, seed: int = 6) -> None:
    """Make about `entries` files and directories below `root`; the same ones for the same seed."""
    chance = random.Random(seed)
    content = chance.randbytes(_BYTES[-1])
    made = 0
    while made < entries:
        # A package: its own directory and a few below it, most of them shallow.
        place = root / f"package-{made}"
        places = [place]
        for _ in range(chance.choice((0, 0, 1, 2, 4, 12))):
            above = chance.choice(places)
            if len(above.parts) - len(place.parts) < _MOST_DEPTH:
                places.append(above / f"part{len(places)}")
        for directory in places:
            directory.mkdir(parents=True)
            count = chance.choices(_FILES, cum_weights=_WEIGHTS)[0]
            for number in range(count):
                start = chance.randrange(1_000)
                (directory / f"file-{number}.js").write_bytes(
                    content[start : start + _size(chance)]
                )
            made += count + 1


def on_disk() -> str:
    """Give a place on the disk that users' projects are on: a tmpfs would flatter copies."""
    place = Path.home() / ".cache"
    place.mkdir(parents=True, exist_ok=True)
    return str(place)


def _size(chance: random.Random) -> int:
    at = chance.uniform(0, _PERCENTILES[-1])
    upper = next(i for i, edge in enumerate(_PERCENTILES) if at <= edge)
    if upper == 0:
        return _BYTES[0]
    low, high = _PERCENTILES[upper - 1], _PERCENTILES[upper]
    return round(
        _BYTES[upper - 1] + (_BYTES[upper] - _BYTES[upper - 1]) * (at - low) / (high - low)
    )
