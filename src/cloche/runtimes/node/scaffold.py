"""Templates: applications as data in this package, copied and named, never downloaded."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from cloche.runtimes.node.names import is_name
from cloche.runtimes.provider import CannotPlan, Template

_SUMMARIES = {
    "react-ts": "React 19 with TypeScript, built by Vite",
    "api": "An HTTP interface in TypeScript on Express 5, with tests",
    "static": "A site of plain files, with no dependencies at all",
}
_MARK = b"{{name}}"
# Packaging tools and git give these names a meaning of their own; they lie here under another.
_RENAMED = {"_gitignore": ".gitignore"}


@cache
def node_templates() -> tuple[Template, ...]:
    """Give the templates of this runtime."""
    root = files("cloche.runtimes.node").joinpath("templates")
    return tuple(
        Template(name=name, summary=summary, files=_files(root.joinpath(name)))
        for name, summary in _SUMMARIES.items()
    )


def scaffold_files(template: str, name: str) -> dict[str, bytes]:
    """Give a template's files under a project's name. Raises CannotPlan."""
    known = {one.name: one for one in node_templates()}
    if template not in known:
        raise CannotPlan(f"template {template!r}", "there is none of this name", ", ".join(known))
    if not is_name(name) or name != name.lower():
        raise CannotPlan(
            f"name {name!r}", "npm would not take it", "use lower case letters, digits, - _ ."
        )
    return {
        path: content.replace(_MARK, name.encode())
        for path, content in known[template].files.items()
    }


def _files(directory: Traversable, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for item in sorted(directory.iterdir(), key=lambda item: item.name):
        path = f"{prefix}{_RENAMED.get(item.name, item.name)}"
        if item.is_dir():
            found |= _files(item, f"{path}/")
        else:
            found[path] = item.read_bytes()
    return found
