"""Templates: applications as data in a provider's package, copied and named, never downloaded."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from cloche.runtimes.provider import CannotPlan, Template

_MARK = "{{name}}"
# Packaging tools and git give these names a meaning of their own; they lie there under another.
_RENAMED = {"_gitignore": ".gitignore"}


class Templates:
    """Those in the directory `templates` of `package`, by name with a line on each."""

    def __init__(
        self, package: str, summaries: Mapping[str, str], called: Callable[[str], str]
    ) -> None:
        """Take `called`, which makes of a name what stands for it in files. Raises CannotPlan for a bad one."""
        self._package, self._summaries, self._called = package, summaries, called

    def all(self) -> tuple[Template, ...]:
        """Give every template."""
        return tuple(
            Template(name=name, summary=summary, files=_read(self._package, name))
            for name, summary in self._summaries.items()
        )

    def fill(self, template: str, name: str) -> dict[str, bytes]:
        """Give a template's files under a project's name. Raises CannotPlan."""
        if template not in self._summaries:
            known = ", ".join(self._summaries)
            raise CannotPlan(f"template {template!r}", "there is none of this name", known)
        called = self._called(name)
        return {
            path.replace(_MARK, called): content.replace(_MARK.encode(), called.encode())
            for path, content in _read(self._package, template).items()
        }


@cache
def _read(package: str, name: str) -> Mapping[str, bytes]:
    return _files(files(package).joinpath("templates", name))


def _files(directory: Traversable, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for item in sorted(directory.iterdir(), key=lambda item: item.name):
        path = f"{prefix}{_RENAMED.get(item.name, item.name)}"
        if item.is_dir():
            found |= _files(item, f"{path}/")
        else:
            found[path] = item.read_bytes()
    return found
