"""Which files of cargo's home are kept, and what each must be."""

import re
from collections.abc import Mapping

from cloche.runtimes.toolchain import CacheEntry

# Sources that were unpacked are never kept: cargo does not check them again when it reads them.
_PACKAGE = re.compile(
    r"registry/cache/[A-Za-z0-9._-]{1,200}/(?P<name>[A-Za-z0-9._+-]{1,300})\.crate\Z"
)
_INDEX = re.compile(
    r"registry/index/[A-Za-z0-9._-]{1,200}/(config\.json|\.cache/[a-z0-9_/-]{1,200})\Z",
    re.IGNORECASE,
)


def cache_entry(path: str, digests: Mapping[str, str]) -> CacheEntry | None:
    """Judge one file; `digests` gives NAME-VERSION to SHA-256 for all that a lock asked for.

    Cargo checks a package when it downloads it and never again: what a lock does not name is not
    kept. An index is a list of checksums that the lock's must be equal to.
    """
    if match := _PACKAGE.match(path):
        digest = digests.get(match["name"])
        return CacheEntry(algorithm="sha256", digest=digest) if digest else None
    return CacheEntry() if _INDEX.match(path) else None
