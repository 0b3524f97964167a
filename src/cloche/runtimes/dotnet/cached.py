"""Which files of the packages' cache are kept, and what each must be."""

import re
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import BinaryIO

from cloche.runtimes.dotnet.archive import content_hash, fault_of
from cloche.runtimes.toolchain import CacheEntry

SHARED = "all"
"""Below the directory of some sources: every package that came from them, for the fetches of all projects."""
# A fetch names each package by its file's SHA-512, in a directory of its own. Nothing that was laid
# out of a package is ever kept: whoever needs that lays it out anew, and NuGet then compares the
# content with the lock.
_PACKAGE = re.compile(
    r"(?P<sources>[0-9a-f]{16})/[0-9a-f]{16}/"
    r"(?P<name>(?P<identity>[a-z0-9_][a-z0-9_.\-]{1,140})\+(?P<digest>[0-9A-F]{128})\.nupkg)\Z"
)
# An empty file: a source that is no directory is an error, also for whoever needs nothing of it.
_MARK = re.compile(r"[0-9a-f]{16}/[0-9a-f]{16}/fetched\Z")


def cache_entry(path: str, digests: Mapping[str, str]) -> CacheEntry | None:
    """Judge one file; None for whatever is neither a package under its digest nor the mark of a fetch.

    `digests` gives the content hash of each package that a lock names.
    """
    if _MARK.match(path):
        return CacheEntry(algorithm="sha256", digest=sha256().hexdigest())
    match = _PACKAGE.match(path)
    if match is None:
        return None
    return CacheEntry(
        algorithm="sha512",
        digest=match["digest"].lower(),
        also=f"{match['sources']}/{SHARED}/{match['name']}",
        fault=partial(_fault, match["identity"], digests),
    )


def _fault(identity: str, digests: Mapping[str, str], file: BinaryIO) -> str:
    """Say why a package may not be kept: what its archive holds, or that it is not what a lock names."""
    if fault := fault_of(identity, file):
        return fault
    if identity not in digests:
        return ""
    try:
        found = content_hash(file)
    except ValueError as error:
        return f"it has no content hash: {error}"
    return "" if found == digests[identity] else f"its content hash is {found}, and not the lock's"
