"""The templates of Node, and which names npm takes."""

from cloche.runtimes.node.names import is_name
from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.templates import Templates


def _called(name: str) -> str:
    if not is_name(name) or name != name.lower():
        raise CannotPlan(
            f"name {name!r}", "npm would not take it", "use lower case letters, digits, - _ ."
        )
    return name


TEMPLATES = Templates(
    "cloche.runtimes.node",
    {
        "react-ts": "React 19 with TypeScript, built by Vite",
        "api": "An HTTP interface in TypeScript on Express 5, with tests",
        "static": "A site of plain files, with no dependencies at all",
    },
    _called,
)
