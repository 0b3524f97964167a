"""What other systems make of a name: which protected one they take it for, and which they cannot hold."""

import re
import unicodedata
from functools import lru_cache

# Left out by HFS+ when it compares names; the list is git's (utf8.c, next_hfs_char): CVE-2014-9390.
_IGNORED = dict.fromkeys(
    (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
)
# The 8.3 names under which NTFS also finds `.git` and `.gitmodules` (git: path.c, is_ntfs_dotgit).
_SHORT = ((re.compile(r"git~[0-9]+\Z"), ".git"), (re.compile(r"(gitmod|gi7eba)~[0-9]+\Z"), ".gitmodules"))  # fmt: skip
# "Naming Files, Paths, and Namespaces" of the Windows documentation; an ending changes nothing.
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\Z", re.IGNORECASE
)
_NOT_OF_WINDOWS = frozenset('<>:"|?*\\')


def taken_for(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Give the parts that a system may find instead, which folds case and forms of characters.

    Windows also drops dots and spaces at the end of a name and reads a backslash
    as a slash; NTFS reads what follows a colon as the name of a stream.

    >>> taken_for(("sub", ".GIT::$INDEX_ALLOCATION", "config. "))
    ('sub', '.git', 'config')
    """
    return tuple(found for part in parts for found in _taken_for(part))


@lru_cache(maxsize=65_536)
def _taken_for(part: str) -> tuple[str, ...]:
    if "\\" in part:
        return tuple(found for each in part.split("\\") if each for found in _taken_for(each))
    text = folded(part)
    text = text.partition(":")[0].rstrip(" .") or text
    if text in ("", ".", ".."):
        return (part,)
    return (next((meant for short, meant in _SHORT if short.match(text)), text),)


@lru_cache(maxsize=65_536)
def folded(name: str) -> str:
    """Give what two names have in common that some system cannot hold beside each other.

    The widest of all rules: ZFS may fold compatible characters (NFKC), APFS and
    HFS+ fold canonical ones and case, HFS+ leaves some out.
    """
    if name.isascii():
        return name.lower()
    text = unicodedata.normalize("NFKC", name.translate(_IGNORED)).casefold()
    # U+2100 is "a/c" in that form: no name has a slash.
    return unicodedata.normalize("NFKC", text).replace("/", "\u2215")


@lru_cache(maxsize=65_536)
def unportable(name: str) -> tuple[str, ...]:
    """Give the reasons why Windows cannot hold `name`, or would make something else of it."""
    reasons = []
    if _DEVICES.match(re.split(r"[.:]", name)[0].rstrip(" ")):
        reasons.append("it is a device on Windows")
    if wrong := "".join(sorted(_NOT_OF_WINDOWS.intersection(name))):
        reasons.append(f"it has {wrong!r}, which Windows does not hold in a name")
    if name[-1:] in (" ", "."):
        reasons.append("it ends with a dot or a space, which Windows drops")
    return tuple(reasons)
