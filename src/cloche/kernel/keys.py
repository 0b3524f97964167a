"""The key of a step: one digest of everything that decides what it does. Equal keys, equal deeds."""

import dataclasses
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from enum import Enum
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

from cloche.errors import ClocheError
from cloche.kernel.registry import user_variables
from cloche.kernel.session import Session
from cloche.kernel.surroundings import hosts_of, sees_configuration, user_files
from cloche.model.step import Net, Plan, Source, Step

_FORM = 2
"""Counts up when what goes into a key, or what a step leaves, has another meaning."""

_SYSTEM = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/libexec",
    "/usr/include",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/include",
    "/etc/alternatives",
    "/etc/ld.so.cache",
)
"""What of the system every step is shown: who installs a compiler or another version of it renames in these."""


class Keys:
    """Of one run, in which the project is looked through once for all steps that see the same of it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._projects: dict[frozenset[str], str] = {}

    def of(self, step: Step, plan: Plan) -> str:
        """Give the key of `step` as things are now: what was done before it is not in.

        Ceilings are not in either: they end a step or do not, and change nothing of what a step
        that ended well has done.
        """
        session = self._session
        refs = {mount.ref for mount in step.mounts if mount.source is Source.PROJECTION}
        parts: list[object] = [
            _FORM,
            version("cloche"),
            session.policy.digest,
            type(session.provider).__qualname__,
            session.machine.features.tier,
            session.machine.toolchains,
            [_identity(path) for path in _SYSTEM],
            session.epoch,
            session.transaction.prefix,
            step,
            [projection for projection in plan.projections if projection.ref in refs],
            hosts_of(step, session),
        ]
        if sees_configuration(step) or step.net is not Net.NONE:
            parts += [session.registry_facts(), self._of_user(step)]
        if any(mount.source is Source.PROJECT for mount in step.mounts):
            parts.append(self._of_project())
        return hashlib.sha256(_canonical(parts)).hexdigest()

    def _of_user(self, step: Step) -> list[object]:
        session = self._session
        variables = user_variables(session.provider.user_config, session.machine.environment)
        return [variables, *(_identity(bind.source) for bind in user_files(step, session))]

    def _of_project(self) -> str:
        hidden = frozenset(self._session.hidden())
        if hidden not in self._projects:
            try:
                found = self._session.transaction.digest_base(hidden)
            except (ClocheError, OSError):
                found = secrets.token_hex(16)  # what cannot be looked through is never the same
            self._projects[hidden] = found
        return self._projects[hidden]


def _identity(path: str) -> tuple[object, ...]:
    """Give what tells a file or a directory's names from an older version of them."""
    try:
        found = os.stat(path)
    except OSError:
        return (path,)
    return path, found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def _canonical(value: object) -> bytes:
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode("ascii")


def _plain(value: object) -> Any:  # Any: JSON
    """Give a frozen value as JSON in which no two values look the same. Raises TypeError for any other."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {type(value).__name__: {f.name: _plain(getattr(value, f.name)) for f in fields}}
    if isinstance(value, Enum):
        return [type(value).__name__, value.name]
    if isinstance(value, bytes):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    if isinstance(value, Mapping):
        return {"mapping": sorted([_plain(key), _plain(each)] for key, each in value.items())}
    if isinstance(value, frozenset):
        return {"set": sorted(map(_canonical_text, value))}
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, Iterable):
        return [_plain(each) for each in value]
    raise TypeError(type(value).__name__)


def _canonical_text(value: object) -> str:
    return _canonical(value).decode("ascii")
