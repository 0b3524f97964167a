"""Solutions as lists of projects: .slnx, and the older .sln."""

import re
from posixpath import normpath

from cloche.runtimes.dotnet.markup import Element, read_markup
from cloche.runtimes.provider import CannotPlan

_FOLDER = "2150E333-8FDC-42A3-9474-1A3956D46DE8"
_LINE = re.compile(r'\s*Project\("\{([0-9A-Fa-f-]{36})\}"\)\s*=\s*"[^"]*",\s*"([^"]*)",')
_MOST = 500


def read_solution(path: str, content: bytes) -> tuple[str, ...]:
    """Give the paths of its projects, of any kind, in order. Raises CannotPlan."""
    names = _of_markup(path, content) if path.endswith(".slnx") else _of_lines(path, content)
    found = tuple(dict.fromkeys(normpath(name.replace("\\", "/")) for name in names))
    if len(found) > _MOST:
        raise CannotPlan(path, f"it has more than {_MOST} projects")
    for name in found:
        if name.startswith(("../", "/")) or "*" in name:
            raise CannotPlan(path, f"{name[:80]!r} is not below this directory")
    return found


def _of_markup(path: str, content: bytes) -> list[str]:
    names: list[str] = []

    def look(element: Element) -> None:
        for child in element.children:
            if child.name == "Project":
                names.append(child.attributes.get("Path", ""))
            else:
                look(child)

    look(read_markup(path, content))
    return [name for name in names if name]


def _of_lines(path: str, content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotPlan(path, "it is not UTF-8") from error
    matches = (_LINE.match(line) for line in text.splitlines())
    return [found[2] for found in matches if found and found[1].upper() != _FOLDER]
