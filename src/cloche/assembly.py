"""The composition root: the only place that knows kernel, platforms and providers together."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

from cloche.kernel.context import KernelSettings
from cloche.kernel.kernel import Kernel as KernelFace
from cloche.platforms.select import select_platform
from cloche.policy.load import load_default, load_policy
from cloche.runtimes.provider import RuntimeProvider

_SETTINGS = KernelSettings()


class Kernel(KernelFace):
    """The kernel as callers open it: embedded, no daemon, no server."""

    @staticmethod
    @asynccontextmanager
    async def open(settings: KernelSettings = _SETTINGS) -> AsyncIterator["Kernel"]:
        """Open a kernel for the length of a block. Raises PolicyInvalid, CannotConfine."""
        environment = settings.environment or dict(os.environ)
        home = Path(environment.get("HOME") or os.path.expanduser("~"))
        settings = replace(settings, environment=environment)
        platform = select_platform()
        users_state = find_state_home(replace(settings, state_home=None))
        policy_file = _policy_file(settings, home)
        kernel = Kernel(
            platform=platform,
            providers=_providers(),
            policy=load_default() if policy_file is None else load_policy(policy_file),
            state_home=settings.state_home or users_state,
            queue_home=_queue_home(settings, users_state),
            budget_bytes=settings.budget_bytes,
            cache_home=settings.cache_home
            or _home(environment.get("XDG_CACHE_HOME"), home / ".cache"),
            environment=environment,
            policy_file=policy_file,
        )
        try:
            yield kernel
        finally:
            await kernel.close()


def find_state_home(settings: KernelSettings = _SETTINGS) -> Path:
    """Give the directory of what Cloche keeps of its own: transactions, and the key that signs."""
    environment = settings.environment or dict(os.environ)
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    usual = home / ".local/state"
    return settings.state_home or _home(environment.get("XDG_STATE_HOME"), usual)


def _home(given: str | None, usual: Path) -> Path:
    # The XDG base directory specification: a relative path is ignored.
    base = Path(given) if given and given.startswith("/") else usual
    return base / "cloche"


def _queue_home(settings: KernelSettings, users_state: Path) -> Path:
    """Give the one place where all kernels of the user meet, whatever state each of them keeps apart."""
    if settings.queue_home is not None:
        return settings.queue_home
    there = next(path for path in (users_state, *users_state.parents) if os.path.exists(path))
    # A service may run as a user without a home, and was told where to keep things.
    has_home = os.path.isdir(there) and os.access(there, os.W_OK)
    return users_state if has_home or settings.state_home is None else settings.state_home


def _policy_file(settings: KernelSettings, home: Path) -> Path | None:
    if settings.policy is not None:
        return settings.policy
    config = _home(settings.environment.get("XDG_CONFIG_HOME"), home / ".config")
    users = config / "policy.yaml"
    return users if users.is_file() else None


def _providers() -> tuple[RuntimeProvider, ...]:
    found = entry_points(group="cloche.runtimes")
    return tuple(entry.load()() for entry in sorted(found, key=lambda entry: entry.name))
