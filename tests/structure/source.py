"""The source tree as these tests read it."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "src").rglob("*.py"))
FILES = [file for file in FILES if "templates" not in file.parts]


def module(file: Path) -> str:
    """Give the dotted name of a source file."""
    return ".".join(file.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def parsed(file: Path) -> ast.Module:
    """Parse a source file."""
    return ast.parse(file.read_text(), str(file))


def imported(file: Path) -> set[str]:
    """Give the dotted names a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides the layer it reaches"
            found.add(node.module or "")
    return found
