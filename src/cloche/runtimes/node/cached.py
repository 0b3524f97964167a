"""Which files of npm's cache are kept, and what each must be."""

import re

from cloche.runtimes.toolchain import CacheEntry

# cacache: content lies under its own digest, split after two and four figures.
_CONTENT = re.compile(r"_cacache/content-v2/sha512/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{124})\Z")
_INDEX = re.compile(r"_cacache/index-v5/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}\Z")


def cache_entry(path: str) -> CacheEntry | None:
    """Judge one file. An index names only digests, and npm checks those again on every read."""
    if match := _CONTENT.match(path):
        return CacheEntry(algorithm="sha512", digest="".join(match.groups()))
    return CacheEntry() if _INDEX.match(path) else None
