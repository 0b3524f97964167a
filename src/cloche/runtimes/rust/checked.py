"""What of the cache may be built from: what was compared with this very lock, and is never replaced."""

import json
from hashlib import sha256

from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.runtimes.rust.discovery import INDEX
from cloche.runtimes.rust.lint import SOURCE
from cloche.runtimes.rust.lock import Lock


def checked_key(lock: Lock, facts: HostFacts) -> str:
    """Give the key under which a cache remembers that all it has of the lock is what the lock says."""
    settings = facts.registry.settings if facts.registry is not None else {}
    # Another registry is another directory of the cache.
    parts = (settings.get(SOURCE, ""), settings.get(INDEX, ""), sorted(lock.digests().items()))
    return sha256(json.dumps(parts).encode()).hexdigest()


def insist_on_checked(lock: Lock, facts: HostFacts) -> None:
    """Raise CannotPlan when packages of the lock were not fetched for it.

    They may be there all the same, as the registry had them for another project and another lock,
    and cargo compares a package with the lock only when it downloads it.
    """
    if lock.fetched() and checked_key(lock, facts) not in facts.fetched:
        raise CannotPlan(lock.path, "its packages are not fetched", "resolve first")
