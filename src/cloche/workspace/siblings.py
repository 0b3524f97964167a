"""What entries are together that none of them is alone: two names of one file, a repository."""

import os
import stat
from collections.abc import Iterator

from cloche.model.names import folded
from cloche.model.paths import JailPath
from cloche.workspace.diff import Difference, Role, is_whiteout
from cloche.workspace.jail import join, name_of, open_directory, parent_of
from cloche.workspace.screen import ScreenRules, shown, write_reasons

# What makes git take a directory for a repository and obey its `config`: CVE-2022-24765,
# git-config(1) safe.bareRepository. (setup.c, is_git_directory)
_REPOSITORY = frozenset(("head", "objects", "refs"))
_MOST_KEPT = 500_000


class Siblings:
    """Gathers the entries of each directory as a walk gives them, and judges them together."""

    def __init__(self, base: int, rules: ScreenRules) -> None:
        self._base, self._rules = base, rules
        self._directory, self._is_merged = "", True
        self._new: dict[str, bool] = {}
        """Names that come in, each with whether it is a directory."""
        self._gone: set[str] = set()

    def take(self, found: Difference) -> Iterator[str]:
        """Note one entry; give the reasons against the directory before it, when it is complete."""
        if not found.path:
            return
        if parent_of(found.path) != self._directory:
            yield from self.end()
            self._directory = parent_of(found.path)
            self._is_merged = found.role is not Role.INSIDE
        name = name_of(found.path)
        if is_whiteout(found.upper):
            self._gone.add(name)
        elif found.base is None or (
            # A file that becomes a directory completes a repository as a new one does.
            stat.S_IFMT(found.base.st_mode) != stat.S_IFMT(found.upper.st_mode)
        ):
            self._new[name] = stat.S_ISDIR(found.upper.st_mode)

    def end(self) -> Iterator[str]:
        """Give the reasons against the last directory."""
        new, gone = self._new, self._gone
        self._new, self._gone = {}, set()
        if not new:
            return
        # The project's own names count too: half of a trap may have come in with an earlier commit.
        kept = _names(self._base, self._directory) - gone if self._is_merged else set()
        yield from together_reasons(self._directory, tuple(new), kept, self._rules)


def together_reasons(
    directory: str, new: tuple[str, ...], kept: set[str], rules: ScreenRules
) -> Iterator[str]:
    """Give the reasons against the names `new` beside each other and beside those `kept`. Pure."""
    held = {folded(name): name for name in sorted(kept - set(new), reverse=True)}
    keys = held.keys() | set(map(folded, new))
    for name in new:
        other = held.setdefault(folded(name), name)
        path = join(directory, name)
        if other != name:
            for reason in rules.may_be_alike(JailPath(tuple(path.split("/")))):
                yield f"{shown(path)}: {reason} {shown(other)!r}, which is there too"
    if keys >= _REPOSITORY and _REPOSITORY & set(map(folded, new)):
        # Whoever may make a `.git` there may make this.
        for reason in write_reasons(join(directory, ".git"), rules):
            yield f"{shown(directory) or 'the project'}: with HEAD, objects and refs it is a repository to git, and {reason}"


def _names(base: int, directory: str) -> set[str]:
    try:
        opened = open_directory(base, directory)
    except OSError:
        return set()
    try:
        with os.scandir(opened) as entries:
            return {entry.name for entry, _ in zip(entries, range(_MOST_KEPT), strict=False)}
    finally:
        os.close(opened)
