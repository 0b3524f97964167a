"""The red team's attacks: none gets out of Cloche, and each does where there is no sandbox."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche.redteam.contender import peers
from cloche.redteam.trial import PYTHON, Verdict, attacks, try_out
from cloche_redteam.attack import LAYERS
from cloche_redteam.runner import ESCAPED, HELD

pytestmark = pytest.mark.skipif(
    not os.path.exists(PYTHON), reason=f"needs {PYTHON}, which every sandbox shows"
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that any user may write to."""
    with tempfile.TemporaryDirectory(prefix="cloche-home-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o777)
        yield Path(name)


def verdicts(home: Path, prefix: tuple[str, ...]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*prefix, sys.executable, "-P", "-m", "cloche", "redteam", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = [line for line in lines if line["type"] == "verdict"]
    assert found, done.stdout + done.stderr
    return found


def test_there_are_enough_of_them_and_each_names_its_source() -> None:
    known = attacks()
    assert len(known) >= 120
    assert all(attack.source and attack.title for attack in known.values())
    assert {attack.layer for attack in known.values()} == set(LAYERS)


@pytest.mark.slow
def test_none_gets_out(home: Path, prefix: tuple[str, ...]) -> None:
    found = verdicts(home, prefix)
    assert {each["attack"] for each in found} == set(attacks())
    assert [each for each in found if each["verdict"] == ESCAPED] == []


@pytest.mark.slow
def test_each_gets_out_where_there_is_no_sandbox() -> None:
    if os.geteuid() != 0:
        pytest.skip("root: an ordinary user lacks by himself what many of the attacks ask for")
    report = asyncio.run(try_out(peers()[-1], attacks()))
    blunt: list[Verdict] = [each for each in report.verdicts if each.verdict == HELD]
    assert blunt == [], "an attack that cannot succeed proves nothing"
