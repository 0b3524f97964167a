"""What a commit changed inside of files, for a person to read: unified hunks, bounded in every direction.

Both versions are hostile bytes: whoever shows them escapes them.
"""

import difflib
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from cloche.workspace.diff import walk_base
from cloche.workspace.errors import PathBlocked, TreeTooLarge
from cloche.workspace.jail import read_below
from cloche.workspace.journal import Fingerprint, Journal

_MOST_FILES = 500
_MOST_BYTES = 256 << 10
_MOST_LINES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChange:
    """One file: its hunks as lines without their ends, or why there are none."""

    path: str
    lines: tuple[str, ...] = ()
    why_none: str = ""


def text_changes(record: Journal, project: int, directory: int) -> Iterator[TextChange]:
    """Give the files that the commit of `record` changed, until there are too many.

    `project` and `directory` (of the undo record) are open. A file that was edited since shows the
    edit too: what is compared is the project as it is.
    """
    seen = 0
    for operation in record.operations:
        try:
            before = _files(directory, operation.store, operation.outgoing)
            after = _files(project, operation.path, operation.incoming)
        except (TreeTooLarge, PathBlocked) as error:
            yield TextChange(path=operation.path, why_none=f"not compared: {error.why}")
            continue
        for inner in sorted(before | after):
            path = f"{operation.path}{inner}"
            seen += 1
            if seen > _MOST_FILES:
                yield TextChange(
                    path=path, why_none=f"and all behind it: more than {_MOST_FILES} files"
                )
                return
            stored = f"{operation.store}{inner}"
            old = read_below(directory, stored, _MOST_BYTES) if inner in before else b""
            new = read_below(project, path, _MOST_BYTES) if inner in after else b""
            change = compare(path, old, new)
            if change is not None:
                yield change


def compare(path: str, before: bytes | None, after: bytes | None) -> TextChange | None:
    """Give the hunks between two versions; None where they are the same. None for bytes: too long. Pure."""
    if before is None or after is None:
        return TextChange(path=path, why_none=f"longer than {_MOST_BYTES} bytes, or unreadable")
    if before == after:
        return None
    if b"\0" in before or b"\0" in after:
        return TextChange(path=path, why_none="not text")
    old, new = (side.decode("utf-8", "replace").splitlines() for side in (before, after))
    lines = list(difflib.unified_diff(old, new, "before", "after", lineterm=""))
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"... {len(lines) - _MOST_LINES} more lines"]
    return TextChange(
        path=path, lines=tuple(lines), why_none="" if lines else "only the ends of lines"
    )


def _files(root: int, path: str, entry: Fingerprint | None) -> set[str]:
    """Give what is to be compared: "" for a file itself, "/name" for each file of a directory.

    Raises TreeTooLarge and PathBlocked.
    """
    if entry is None or stat.S_ISLNK(entry.mode):
        return set()
    if not stat.S_ISDIR(entry.mode):
        return {""}
    return {
        below.removeprefix(path)
        for below, status in walk_base(root, path, limit=_MOST_FILES * 4)
        if stat.S_ISREG(status.st_mode)
    }
