"""A project as a dictionary, and what deeds through an overlay make of it: no file system involved.

What overlayfs does otherwise than a plain directory is said here and nowhere else:
a directory of the project cannot be renamed (EXDEV), and a change of a file that has
several names in the project changes the one name.
"""

import stat
from copy import deepcopy
from dataclasses import dataclass

from tests.unit.workspace.building import Deed, Seen


@dataclass(eq=False)
class Node:
    """What one or more names lead to; the same node under two names is a hard link."""

    kind: int
    mode: int
    content: bytes = b""
    fresh: bool = True
    """False in a transaction that has not made it nor copied it up."""


class Tree:
    """Paths and what they lead to; "" is the project itself."""

    def __init__(self) -> None:
        self.nodes = {"": Node(stat.S_IFDIR, 0o755)}

    def begun(self) -> "Tree":
        """Give the tree as a transaction finds it."""
        tree = deepcopy(self)
        for node in tree.nodes.values():
            node.fresh = False
        return tree

    def ended(self) -> "Tree":
        """Give the tree as a person finds it who works in it without an overlay."""
        tree = deepcopy(self)
        for node in tree.nodes.values():
            node.fresh = True
        return tree

    def render(self) -> Seen:
        """Give the tree as `seen` gives a real one, mtimes aside."""
        found: Seen = {}
        for path, node in sorted(self.nodes.items()):
            names = self.names_of(path)
            group = min(names) if len(names) > 1 and node.kind == stat.S_IFREG else ""
            found[path] = (node.kind, node.mode, node.content, group, 0)
        return found

    def do(self, deed: Deed) -> None:
        """Do one deed, or nothing where the system would refuse it."""
        name, path, *rest = deed
        if not self.is_directory(_parent(path)):
            return
        getattr(self, f"_{name}")(path, *rest)

    def can_do(self, deed: Deed) -> bool:
        """Tell whether a write or a removal would be refused."""
        name, path = deed[:2]
        if name == "remove" or path in self.nodes:
            return path in self.nodes and (name == "remove" or self._is_writable(path))
        return self.is_directory(_parent(path))

    def do_below(self, deed: Deed) -> None:
        """Do a write or a removal to what an open transaction shows of the project unchanged."""
        name, path, *rest = deed
        if name == "remove":
            del self.nodes[path]
        elif path in self.nodes:
            self.nodes[path].content = rest[0]
        else:
            self.nodes[path] = Node(stat.S_IFREG, 0o644, rest[0], fresh=False)

    def is_directory(self, path: str) -> bool:
        """Tell whether a directory is there."""
        return path in self.nodes and self.nodes[path].kind == stat.S_IFDIR

    def below(self, path: str) -> list[str]:
        """Give what is under a directory, itself not counted."""
        return [other for other in self.nodes if other.startswith(f"{path}/")]

    def names_of(self, path: str) -> list[str]:
        """Give every name of what is at `path`."""
        return [other for other, node in self.nodes.items() if node is self.nodes[path]]

    def _write(self, path: str, content: bytes) -> None:
        if path not in self.nodes:
            self.nodes[path] = Node(stat.S_IFREG, 0o644, content)
        elif self._is_writable(path):
            self._copied_up(path).content = content

    def _append(self, path: str, content: bytes) -> None:
        if path in self.nodes and self._is_writable(path):
            self._copied_up(path).content += content

    def _mkdir(self, path: str) -> None:
        if path not in self.nodes:
            self.nodes[path] = Node(stat.S_IFDIR, 0o755)

    def _symlink(self, path: str, target: str) -> None:
        if path not in self.nodes:
            self.nodes[path] = Node(stat.S_IFLNK, 0, target.encode())

    def _remove(self, path: str) -> None:
        for gone in (path, *self.below(path)):
            self.nodes.pop(gone, None)

    def _chmod(self, path: str, mode: int) -> None:
        if path not in self.nodes or self.nodes[path].kind == stat.S_IFLNK:
            return
        node = self.nodes[path] if self.is_directory(path) else self._copied_up(path)
        node.mode = mode

    def _link(self, path: str, new: str) -> None:
        if path in self.nodes and not self.is_directory(path) and self._is_free(new):
            self.nodes[new] = self._copied_up(path)

    def _rename(self, path: str, new: str) -> None:
        if path not in self.nodes or not self.is_directory(_parent(new)):
            return
        if path == new or f"{new}/".startswith(f"{path}/"):
            return
        if self.is_directory(path):
            self._rename_directory(path, new)
            return
        over = self.nodes.get(new)
        if over is not None and over.kind == stat.S_IFDIR:
            return
        if over is self.nodes[path] and over.fresh:
            return  # rename(2): two names of one file, and nothing is done
        self.nodes[new] = self._copied_up(path)
        del self.nodes[path]

    def _rename_directory(self, path: str, new: str) -> None:
        if not self.nodes[path].fresh:
            return
        if new in self.nodes and (not self.is_directory(new) or self.below(new)):
            return
        for old in (path, *self.below(path)):
            self.nodes[new + old[len(path) :]] = self.nodes.pop(old)

    def _is_free(self, path: str) -> bool:
        return path not in self.nodes and self.is_directory(_parent(path))

    def _is_writable(self, path: str) -> bool:
        node = self.nodes[path]
        return node.kind == stat.S_IFREG and bool(node.mode & stat.S_IWUSR)

    def _copied_up(self, path: str) -> Node:
        node = self.nodes[path]
        if not node.fresh:
            node = self.nodes[path] = Node(node.kind, node.mode, node.content)
        return node


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
