"""Files that a project imports by a name which needs no evaluation: those of the usual layouts."""

import re
from posixpath import dirname, join, normpath

from cloche.runtimes.dotnet.markup import Element, read_markup
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan

_DEEPEST = 8
_MOST = 64
_NAME = r"([A-Za-z0-9_.\-]{1,80})"
_HERE = r"\$\(MSBuildThisFileDirectory\)"
_PLAIN = re.compile(rf"(?:{_HERE})?((?:[A-Za-z0-9_.\-]+/)*{_NAME})\Z")
# How Microsoft's documentation has a Directory.Build.props import the one above it, and the older way.
_ABOVE = re.compile(
    rf"\$\(\[MSBuild\]::GetPathOfFileAbove\('?{_NAME}'?, ?'?{_HERE}\.\./'?\)\)\Z"
    rf"|\$\(\[MSBuild\]::GetDirectoryNameOfFileAbove\('?{_HERE}\.\./?'?, ?'?{_NAME}'?\)\)/{_NAME}\Z"
)

Part = tuple[str, Element]
"""The file that it stands in, and an element directly below its root."""


def parts_of(view: ProjectView, path: str, root: Element) -> list[Part]:
    """Give what stands below the root of a file, with what it imports in the imports' places.

    An import that must be evaluated, or leads out of the project, stays as it is. Raises CannotPlan
    for a file that is not XML, or too many.
    """
    return _Imports(view).expand(path, root, frozenset({path}))


def nearest(view: ProjectView, path: str, name: str) -> tuple[str, Element] | None:
    """Give the file of that name in the directory of `path` or the nearest above, as MSBuild finds it."""
    directory = dirname(path)
    while True:
        candidate = join(directory, name)
        content = view.read(candidate)
        if content is not None:
            return candidate, read_markup(candidate, content)
        if not directory:
            return None
        directory = dirname(directory)


class _Imports:
    """Reads imports of imports, so many and so deep."""

    def __init__(self, view: ProjectView) -> None:
        self._view, self._count = view, 0

    def expand(self, path: str, root: Element, within: frozenset[str]) -> list[Part]:
        parts: list[Part] = []
        for element in root.children:
            found = self._find(path, element) if element.name == "Import" else None
            if found is None or found[0] in within:
                parts.append((path, element))
                continue
            self._count += 1
            if self._count > _MOST or len(within) > _DEEPEST:
                raise CannotPlan(path, f"it imports more than {_MOST} files, or too deep")
            parts += self.expand(*found, within | {found[0]})
        return parts

    def _find(self, path: str, element: Element) -> tuple[str, Element] | None:
        asked = element.attributes.get("Project", "").replace("\\", "/").strip()
        condition = element.attributes.get("Condition", "").replace("\\", "/").strip()
        if (
            "Sdk" in element.attributes
            or condition not in ("", f"Exists('{asked}')")
            or len(asked) > 300
        ):
            return None
        if above := _ABOVE.match(asked):
            names = {name for name in above.groups() if name}
            start = dirname(dirname(path))
            if len(names) != 1 or not dirname(path):
                return None  # of what lies above the project nothing is seen
            return nearest(self._view, join(start, "_"), names.pop())
        if plain := _PLAIN.match(asked):
            target = normpath(join(dirname(path), plain[1]))
            is_outside = f"{target}/".startswith(("../", "./"))
            content = None if is_outside else self._view.read(target)
            return (target, read_markup(target, content)) if content is not None else None
        return None
