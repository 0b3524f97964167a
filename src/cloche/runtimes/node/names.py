"""The grammar of npm's names, ranges and paths: what may appear in a step's files or argv."""

import re
from posixpath import normpath

from cloche.model.paths import JailPath, PathOutsideJail

_LONGEST_NAME = 214  # npm's own limit
_LONGEST_RANGE = 512
_PART = r"[A-Za-z0-9_~][A-Za-z0-9._~-]*"
_NAME = re.compile(rf"(@[A-Za-z0-9_~][A-Za-z0-9._~-]*/)?{_PART}\Z")
# Ranges and tags: no colon, no slash, so no address, path or alias fits.
_RANGE = re.compile(r"[A-Za-z0-9*^~<>=|][A-Za-z0-9.+~^<>=|*_ -]*\Z")
# npm reads these as files, whatever else they look like.
_TARBALL = re.compile(r"\.(tgz|tar|tar\.gz)\Z", re.IGNORECASE)
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?\Z")
_SHA512 = re.compile(r"sha512-[A-Za-z0-9+/]{86}==\Z")
_FOREIGN = ("workspace:", "catalog:", "link:", "portal:", "patch:", "jsr:")


def is_name(text: str) -> bool:
    """Tell whether `text` can name a package, and cannot name anything else."""
    return (
        len(text) <= _LONGEST_NAME and _NAME.match(text) is not None and "node_modules" not in text
    )


def is_version(text: str) -> bool:
    """Tell whether `text` is one exact version."""
    return len(text) <= _LONGEST_RANGE and _VERSION.match(text) is not None


def is_range(text: str) -> bool:
    """Tell whether `text` is a range or a tag that only a registry can answer."""
    text = text.strip()
    if text == "":
        return True
    return (
        len(text) <= _LONGEST_RANGE
        and _RANGE.match(text) is not None
        and _TARBALL.search(text) is None
    )


def sha512_of(integrity: str) -> str:
    """Give the sha512 part of an integrity string; "" when it has none."""
    return next((part for part in integrity.split() if _SHA512.match(part)), "")


def objection_to_spec(spec: str) -> str:
    """Say why a dependency may not be asked for as `spec`; "" when it may.

    What is accepted is listed, not what is refused: npm reads a bare
    "user/repository" as a git address, and a name that ends in ".tgz" as a file.
    """
    if is_range(spec):
        return ""
    if spec.startswith("npm:"):
        name, _, wanted = spec[4:].rpartition("@")
        if not name:
            name, wanted = spec[4:], ""
        return "" if is_name(name) and is_range(wanted) else "its alias is not of the registry"
    if spec.startswith("file:"):
        return "" if directory_of(spec) else "a file outside the project, or an archive"
    if spec.startswith(_FOREIGN):
        return f'"{spec.split(":", maxsplit=1)[0]}:" belongs to another package manager'
    return "it is not a range of versions in a registry"


def directory_of(spec: str, *, base: str = "") -> str:
    """Give the project-relative directory a "file:" dependency means; "" when it means none."""
    path = spec.removeprefix("file:")
    if path.startswith("/") or "\\" in path or _TARBALL.search(path):
        return ""
    joined = normpath(f"{base}/{path}" if base else path)
    return joined if joined != "." and is_inside(joined) else ""


def is_inside(path: str) -> bool:
    """Tell whether `path` is a plain relative path that stays where it begins."""
    try:
        return str(JailPath.parse(path)) == path and "\\" not in path and path.isprintable()
    except (PathOutsideJail, UnicodeEncodeError):
        return False
