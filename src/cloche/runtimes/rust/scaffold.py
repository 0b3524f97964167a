"""Templates: applications as data in this package, copied and named, never downloaded."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from cloche.runtimes.provider import CannotPlan, Template
from cloche.runtimes.rust.names import is_new_name

_SUMMARIES = {
    "rust-bin": "A program in Rust with a test",
    "rust-lib": "A library in Rust with tests",
    "rust-axum": "An HTTP interface in Rust on axum 0.8, with tests",
}
_MARK = b"{{name}}"
# Packaging tools and git give these names a meaning of their own; they lie here under another.
_RENAMED = {"_gitignore": ".gitignore"}


@cache
def rust_templates() -> tuple[Template, ...]:
    """Give the templates of this runtime."""
    root = files("cloche.runtimes.rust").joinpath("templates")
    return tuple(
        Template(name=name, summary=summary, files=_files(root.joinpath(name)))
        for name, summary in _SUMMARIES.items()
    )


def scaffold_files(template: str, name: str) -> dict[str, bytes]:
    """Give a template's files under a project's name. Raises CannotPlan."""
    known = {one.name: one for one in rust_templates()}
    if template not in known:
        raise CannotPlan(f"template {template!r}", "there is none of this name", ", ".join(known))
    if not is_new_name(name):
        raise CannotPlan(
            f"name {name!r}",
            "cargo would not take it",
            "use lower case letters, digits, - _, and no word of the language",
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
