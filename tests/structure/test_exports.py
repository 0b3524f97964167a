"""What is public is public on purpose, and documented."""

import ast
from pathlib import Path

import pytest
from tests.structure.source import FILES, module, parsed

import cloche


def test_everything_exported_can_be_imported() -> None:
    for name in cloche.__all__:
        assert getattr(cloche, name) is not None


@pytest.mark.parametrize("file", FILES, ids=module)
def test_every_module_and_public_name_says_what_it_promises(file: Path) -> None:
    tree = parsed(file)
    assert ast.get_docstring(tree), f"{module(file)} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            documented = node.name.startswith("_") or ast.get_docstring(node)
            assert documented, f"{module(file)}.{node.name}"


def test_codes_and_exit_statuses_of_errors_are_registered_once() -> None:
    import importlib  # noqa: PLC0415 - only this test loads everything

    from cloche.errors import ClocheError  # noqa: PLC0415

    for file in FILES:
        if file.name == "errors.py":
            importlib.import_module(module(file))
    kinds: dict[str, type[ClocheError]] = {}
    waiting = list(ClocheError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        known = kinds.setdefault(kind.code, kind)
        assert known is kind or issubclass(kind, known) or issubclass(known, kind), kind
        assert 64 <= kind.exit_status <= 125
