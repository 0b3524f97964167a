"""Who makes the transactions: whoever runs the tests and, from root, an ordinary user too."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.workspace.building import as_nobody, in_child, stage_home

Scene = Callable[[Path], None]


@pytest.fixture(params=["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"])
def whoever(request: pytest.FixtureRequest) -> Callable[[Scene], None]:
    """Run a scene at once, with a directory that has an empty `project` in it."""

    def run(scene: Scene) -> None:
        def inside() -> None:
            with tempfile.TemporaryDirectory(dir=stage_home()) as name:
                (Path(name) / "project").mkdir()
                (Path(name) / "project").chmod(0o755)
                scene(Path(name) / "project")

        (as_nobody if request.param == "ordinary" else in_child)(inside)

    return run
