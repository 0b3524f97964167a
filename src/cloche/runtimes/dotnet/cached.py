"""Which files of the packages' cache are kept, and what each must be."""

import re

from cloche.runtimes.toolchain import CacheEntry

# A fetch names each package by its file's SHA-512. Nothing that was laid out of a package is ever
# kept: whoever needs that lays it out anew, and NuGet then compares the content with the lock.
_PACKAGE = re.compile(r"[0-9a-f]{16}/[A-Za-z0-9_.\-]{1,140}\+([0-9A-F]{128})\.nupkg\Z")


def cache_entry(path: str) -> CacheEntry | None:
    """Judge one file; None for whatever is not a package under its digest."""
    match = _PACKAGE.match(path)
    return CacheEntry(algorithm="sha512", digest=match[1].lower()) if match else None
