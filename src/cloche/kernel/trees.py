"""Directories that tools make in a project: nobody's sources, and not looked through."""

from cloche.runtimes.project import ToolTree
from cloche.workspace.jail import join
from cloche.workspace.subtree import Subtree

_ALWAYS = (".git",)
_LONGEST_SIGN = 1 << 16


def not_sources(
    trees: tuple[ToolTree, ...], transaction: Subtree, prefixes: tuple[str, ...] = ("",)
) -> tuple[str, ...]:
    """Give what a walk of `transaction` passes over, as the user left it.

    A name counts wherever it is; one that begins with a slash, below one of the parts at `prefixes`,
    is a path.
    """
    named = tuple(tree.name for tree in trees if not tree.signs)
    places = ((join(prefix, tree.name), tree) for prefix in prefixes for tree in trees)
    shown = (f"/{path}" for path, tree in places if _is_shown(tree, path, transaction))
    return (*_ALWAYS, *named, *shown)


def _is_shown(tree: ToolTree, path: str, transaction: Subtree) -> bool:
    return any(
        (transaction.read_base(f"{path}/{name}", limit=_LONGEST_SIGN) or b"").startswith(sign)
        for name, sign in tree.signs
    )
