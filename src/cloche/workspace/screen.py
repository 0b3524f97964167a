"""What may not enter a project, whoever allowed the step: a pure judgement of each entry."""

import os
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from cloche.model.paths import JailPath
from cloche.workspace import layout
from cloche.workspace.diff import OPAQUE, ORIGIN, OVERLAY_MARK, Difference, Role, is_whiteout

Judge = Callable[[JailPath], tuple[str, ...]]
"""Gives the reasons against a path; none means it is allowed."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# Written by overlayfs itself below a `userxattr` mount. `redirect` and
# `metacopy` cannot be made there, and would mean content that is elsewhere.
_HARMLESS_MARKS = (OPAQUE, ORIGIN, *(OVERLAY_MARK + m for m in ("impure", "nlink", "uuid")))
_FORGED = OVERLAY_MARK + "overlay."  # how overlayfs stores a mark that a program inside set
# They reorder or break what a person sees of a name: "Trojan Source", CVE-2021-42574.
_DECEIVING = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def allow_all(_path: JailPath) -> tuple[str, ...]:
    """Judge nothing: for looking at changes, never for committing what a policy governs."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenRules:
    """The limits of one commit, and the policy's say on names."""

    max_bytes: int
    max_file_bytes: int
    max_entries: int
    may_write: Judge
    may_delete: Judge
    may_be_named: Judge = allow_all
    """Of new entries: whether other systems can hold the name."""
    may_be_alike: Judge = allow_all
    """Of new entries beside another whose name some systems take for theirs."""
    may_be_file: Judge = allow_all
    """Of what is no directory: whether its ending is allowed."""


def shown(text: str) -> str:
    """Give `text` so that it can be printed: controls, backslash and bytes not UTF-8 as escapes."""
    return "".join(_shown_character(c) for c in text)


def entry_reasons(found: Difference, rules: ScreenRules, *, owner: int) -> tuple[str, ...]:
    """Give every reason against the nature of one entry; its size counted, the policy not asked."""
    if found.role is Role.WHITEOUT or is_whiteout(found.upper):
        return ()
    reasons = [*_kind_reasons(found), *_mark_reasons(found), *_owner_reasons(found, owner)]
    reasons += _mode_reasons(found)
    if found.path:
        path = JailPath(tuple(found.path.split("/")))
        if found.base is None and found.role is not Role.MERGED:
            reasons += (*_name_reasons(path.name), *rules.may_be_named(path))
        if not stat.S_ISDIR(found.upper.st_mode):
            reasons += rules.may_be_file(path)
    if stat.S_ISLNK(found.upper.st_mode):
        reasons += _link_reasons(found.path, found.target)
    if stat.S_ISREG(found.upper.st_mode) and found.upper.st_size > rules.max_file_bytes:
        reasons.append(
            f"it has {found.upper.st_size} bytes, at most {rules.max_file_bytes} allowed"
        )
    if not reasons:
        return ()
    return tuple(f"{shown(found.path) or 'the project'}: {reason}" for reason in reasons)


def write_reasons(path: str, rules: ScreenRules) -> tuple[str, ...]:
    """Give the policy's reasons against writing `path`."""
    return _judged(path, rules.may_write)


def delete_reasons(path: str, rules: ScreenRules) -> tuple[str, ...]:
    """Give the policy's reasons against deleting `path`."""
    return _judged(path, rules.may_delete)


def _judged(path: str, judge: Judge) -> tuple[str, ...]:
    if not path:
        return ()
    parts = tuple(path.split("/"))
    reasons = judge(JailPath(parts))
    if layout.BESIDE in parts:
        # A project inside this one may keep its state here: a journal planted in it would be
        # carried out by the next `recover` of that project, and no policy asked.
        reasons = (*reasons, "it is where Cloche keeps the state of a project")
    if not reasons:
        return ()
    return tuple(f"{shown(path)}: {reason}" for reason in reasons)


def _kind_reasons(found: Difference) -> list[str]:
    mode = found.upper.st_mode
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        return [f"it is {kind}"]
    reasons = []
    if mode & stat.S_ISUID:
        reasons.append("it is setuid")
    if mode & stat.S_ISGID and not _inherits_group(found):
        reasons.append("it is setgid")
    return reasons


def _mode_reasons(found: Difference) -> list[str]:
    # Another user of the machine could then put anything beside what this commit was judged by.
    if not (stat.S_ISDIR(found.upper.st_mode) or stat.S_ISREG(found.upper.st_mode)):
        return []
    before = 0 if found.base is None else found.base.st_mode
    if found.upper.st_mode & ~before & stat.S_IWOTH:
        return ["its mode would let everybody write to it"]
    return []


def _inherits_group(found: Difference) -> bool:
    # On a directory setgid only hands the group on, and the file system sets it
    # on every directory made below one that has it; on a program it is a right.
    return stat.S_ISDIR(found.upper.st_mode) and any(
        above is not None and above.st_mode & stat.S_ISGID for above in (found.base, found.parent)
    )


def _mark_reasons(found: Difference) -> list[str]:
    reasons: list[str] = []
    if not found.marks:
        return reasons
    for mark in found.marks:
        if mark == "security.capability":
            reasons.append("it has file capabilities")
        elif mark.startswith("trusted.overlay."):
            reasons.append(f"it has the mark {shown(mark)} of another kind of overlay")
        elif (
            mark.startswith(OVERLAY_MARK)
            and mark not in _HARMLESS_MARKS
            and not mark.startswith(_FORGED)
        ):
            reasons.append(f"it has the unknown overlay mark {shown(mark)}")
    return reasons


def _owner_reasons(found: Difference, owner: int) -> list[str]:
    if found.upper.st_uid == owner:
        return []
    allowed = {owner} | ({found.base.st_uid} if found.base is not None else set())
    if found.upper.st_uid in allowed:
        return []
    return [f"it belongs to user {found.upper.st_uid}, not to the owner of the project"]


def _name_reasons(name: str) -> list[str]:
    if name.isascii() and name.isprintable():
        return []  # nearly all
    if any(_is_surrogate(c) for c in name):
        return ["its name is not UTF-8"]
    if any(unicodedata.category(c) == "Cc" or c in _DECEIVING for c in name):
        return ["its name has control characters"]
    return []


def _link_reasons(path: str, target: str) -> list[str]:
    pointed = f"it is a link to {shown(target)!r}"
    if target.startswith("/"):
        return [f"{pointed}, which is absolute"]
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    if climbs > path.count("/"):
        return [f"{pointed}, which leaves the project"]
    # After a name ".." is the parent of wherever that name leads, and another
    # link may be made to lead anywhere: only climbing first can be judged here.
    if ".." in parts[climbs:]:
        return [f"{pointed}, which climbs after a name"]
    return [f"{pointed}: {reason}" for reason in _name_reasons(target)]


def _shown_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if _is_surrogate(character):
        return f"\\x{os.fsencode(character)[0]:02x}" if "\udc80" <= character <= "\udcff" else "\\?"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"
