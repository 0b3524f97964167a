"""What of the cache may be built from: what was compared with this very lock, and is never replaced."""

import json
from hashlib import sha256

from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.runtimes.rust.discovery import INDEX
from cloche.runtimes.rust.lint import SOURCE
from cloche.runtimes.rust.lock import Lock


def checked_key(lock: Lock, target: str, facts: HostFacts) -> str:
    """Give the key under which a cache remembers that all it has of the lock is what the lock says.

    What only another `target` needs was not there, and may come from anywhere later.
    """
    settings = facts.registry.settings if facts.registry is not None else {}
    # Another registry is another directory of the cache.
    asked = (settings.get(SOURCE, ""), settings.get(INDEX, ""), facts.toolchains["rust"].version)
    parts = (*asked, target, sorted(lock.digests().items()))
    return sha256(json.dumps(parts).encode()).hexdigest()


def insist_on_checked(lock: Lock, target: str, facts: HostFacts) -> None:
    """Raise CannotPlan when packages of the lock were not fetched for it.

    They may be there all the same, as the registry had them for another project and another lock,
    and cargo compares a package with the lock only when it downloads it.
    """
    if lock.fetched() and checked_key(lock, target, facts) not in facts.fetched:
        raise CannotPlan(lock.path, "its packages are not fetched", "resolve first")
