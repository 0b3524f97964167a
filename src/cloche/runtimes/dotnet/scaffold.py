"""Templates: applications as data in this package, copied and named, never downloaded."""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from cloche.runtimes.provider import CannotPlan, Template

_SUMMARIES = {
    "dotnet-console": "A console program in C#",
    "dotnet-classlib": "A class library in C#, with xunit tests",
    "dotnet-web": "An HTTP interface in C#, an ASP.NET minimal API",
    "dotnet-worker": "A background service in C#",
}
_MARK = "{{name}}"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
# Packaging tools and git give these names a meaning of their own; they lie here under another.
_RENAMED = {"_gitignore": ".gitignore"}
# A project of this name would refer to itself: NU1108.
_TAKEN = ("xunit", "system", "microsoft")


@cache
def dotnet_templates() -> tuple[Template, ...]:
    """Give the templates of this runtime."""
    root = files("cloche.runtimes.dotnet").joinpath("templates")
    return tuple(
        Template(name=name, summary=summary, files=_files(root.joinpath(name)))
        for name, summary in _SUMMARIES.items()
    )


def scaffold_files(template: str, name: str) -> dict[str, bytes]:
    """Give a template's files under a project's name. Raises CannotPlan."""
    known = {one.name: one for one in dotnet_templates()}
    if template not in known:
        raise CannotPlan(f"template {template!r}", "there is none of this name", ", ".join(known))
    identifier = name.replace("-", "_").replace(" ", "_")
    if (
        len(identifier) > 80
        or not _NAME.match(identifier)
        or identifier.lower().split(".")[0] in _TAKEN
    ):
        raise CannotPlan(
            f"name {name!r}",
            "C# would not take it",
            "begin with a letter, then letters and figures",
        )
    return {
        path.replace(_MARK, identifier): content.replace(_MARK.encode(), identifier.encode())
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
