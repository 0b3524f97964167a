"""The grammar of cargo's names, versions and paths: what may appear in a step's files or argv."""

import re
from posixpath import normpath

from cloche.model.paths import JailPath, PathOutsideJail

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}\Z")
_VERSION = re.compile(
    r"[0-9]{1,20}(\.[0-9]{1,20}){2}(-[0-9A-Za-z.-]{1,100})?(\+[0-9A-Za-z.-]{1,100})?\Z"
)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_TRIPLE = re.compile(r"[a-z0-9_]+(-[a-z0-9_.]+){1,3}\Z")
# `cargo new` refuses these: keywords, directories of its own, and crates of the language.
_TAKEN = frozenset(
    {
        "abstract", "alloc", "as", "async", "await", "become", "box", "break", "build", "const",
        "continue", "core", "crate", "deps", "do", "dyn", "else", "enum", "examples", "extern",
        "false", "final", "fn", "for", "if", "impl", "in", "incremental", "let", "loop", "macro",
        "match", "mod", "move", "mut", "override", "priv", "proc_macro", "pub", "ref", "return",
        "self", "static", "std", "struct", "super", "test", "trait", "true", "try", "type",
        "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    }
)  # fmt: skip


def is_name(text: str) -> bool:
    """Tell whether `text` can name a package or one of its programs."""
    return _NAME.match(text) is not None


def is_new_name(text: str) -> bool:
    """Tell whether `cargo new` would make a package of this name without a warning."""
    return is_name(text) and text == text.lower() and text not in _TAKEN


def is_version(text: str) -> bool:
    """Tell whether `text` is one exact version."""
    return _VERSION.match(text) is not None


def is_sha256(text: str) -> bool:
    """Tell whether `text` is a checksum as locks have it."""
    return _SHA256.match(text) is not None


def is_triple(text: str) -> bool:
    """Tell whether `text` is the name of a platform, and not a file that describes one."""
    return _TRIPLE.match(text) is not None


def is_inside(path: str) -> bool:
    """Tell whether `path` is a plain relative path that stays where it begins."""
    try:
        return str(JailPath.parse(path)) == path and "\\" not in path and path.isprintable()
    except (PathOutsideJail, UnicodeEncodeError):
        return False


def joined(base: str, path: str) -> str | None:
    """Give the project-relative place of `path` seen from `base`, "" for the root; None when outside."""
    if path.startswith("/") or "\\" in path or "\0" in path:
        return None
    place = normpath(f"{base}/{path}" if base else path)
    if place == ".":
        return ""
    return place if is_inside(place) else None
