"""Files of one noun, functions of one verb."""

import ast
from pathlib import Path

import pytest
from tests.structure.source import FILES, ROOT, module, parsed

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


@pytest.mark.parametrize("file", FILES, ids=module)
def test_files_hold_one_noun(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400
    assert not VAGUE & set(module(file).split("."))


@pytest.mark.parametrize("file", FILES, ids=module)
def test_functions_do_one_thing(file: Path) -> None:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, f"{module(file)}.{node.name}"


def test_runtime_dependencies_are_six_at_most() -> None:
    import tomllib  # noqa: PLC0415 - used by this test alone

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(project["dependencies"]) <= 6
    assert all("==" in pin for pin in project["dependencies"])
