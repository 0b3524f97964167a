"""Names made since a directory was last read are seen, whatever the file system remembers."""

import os
from pathlib import Path

import pytest
from tests.crash.proof.medium import Lacking, mounted

from cloche.workspace.jail import names_in


def test_names_made_since_the_last_reading_are_seen_on_btrfs() -> None:
    try:
        with mounted("btrfs") as medium:
            _see(medium.root)
    except Lacking as lacking:
        pytest.skip(f"an image of btrfs: {lacking}")


def _see(root: Path) -> None:
    directory = os.open(root, os.O_RDONLY)
    try:
        for number in range(3):
            (root / f"{number}").write_text("")
            assert len(names_in(directory)) == number + 1
    finally:
        os.close(directory)
