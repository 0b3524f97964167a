"""What the user's tool said of its registries, kept for as long as it would say the same.

It is believed for what asks no registry. Before a step that asks one, the tool is asked again: what
it says also depends on the registry, such as where that has its packages.
"""

import hashlib
import json
from contextlib import suppress
from importlib.metadata import version

from cloche.kernel.caches import Cache
from cloche.kernel.registry import configuration_files, user_variables
from cloche.kernel.session import Machine, Session
from cloche.runtimes.provider import RegistryFacts, RuntimeProvider


def recall(provider: RuntimeProvider, machine: Machine) -> RegistryFacts | None:
    """Give what was said before; None when that was another tool, of another configuration."""
    cache = _cache(provider, machine)
    if cache is None:
        return None
    try:
        known = json.loads(cache.read_learned())
        if known["key"] != _key(provider, machine):
            return None
        return RegistryFacts(
            urls=tuple(map(str, known["urls"])),
            settings={str(name): str(value) for name, value in known["settings"].items()},
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # nothing, or damaged: it is asked for again


def remember(session: Session) -> None:
    """Keep what this run learned; what cannot be kept is asked for again. Raises CacheUnusable."""
    cache = _cache(session.provider, session.machine)
    if cache is None or session.registry is None:
        return
    facts = session.registry.facts
    with suppress(OSError):  # a file of the configuration that cannot be read
        key = _key(session.provider, session.machine)
        known = {"key": key, "urls": facts.urls, "settings": dict(facts.settings)}
        cache.write_learned(json.dumps(known).encode())


def _cache(provider: RuntimeProvider, machine: Machine) -> Cache | None:
    """Give where it is kept; None for a tool that reads more than we know of."""
    return machine.caches[provider.caches[0]] if provider.user_config.is_whole else None


def _key(provider: RuntimeProvider, machine: Machine) -> str:
    config = provider.user_config
    parts = (
        version("cloche"),
        type(provider).__qualname__,
        sorted((tool.name, tool.digest) for tool in machine.toolchains.values()),
        sorted(user_variables(config, machine.environment).items()),
        [
            (name, hashlib.sha256(source.read_bytes()).hexdigest())
            for name, source in configuration_files(config, machine.environment)
        ],
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
