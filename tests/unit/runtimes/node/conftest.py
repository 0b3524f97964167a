"""Values that many tests of this runtime begin with."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cloche.runtimes.provider import HostFacts, RegistryFacts
from cloche.runtimes.toolchain import Toolchain

STRONG = "sha512-" + "A" * 86 + "=="
MakeLock = Callable[..., str]


def _tool(name: str, root: str, version: str) -> Toolchain:
    return Toolchain(name=name, host_root=root, inside=root, version=version, digest="0" * 64)


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts(
        toolchains={
            "node": _tool("node", "/usr", "24.19.0"),
            "npm": _tool("npm", "/usr/lib/node_modules/npm", "11.19.1"),
        },
        registry=RegistryFacts(urls=("https://registry.example.org/",)),
    )


@pytest.fixture
def make_lock() -> MakeLock:
    """Give a function that writes a lock: the root's fields, then entries by place."""

    def make(root: dict[str, Any] | None = None, **places: Any) -> str:
        packages: dict[str, Any] = {"": {"name": "app", "version": "1.0.0", **(root or {})}}
        packages.update(places)
        return json.dumps({"lockfileVersion": 3, "requires": True, "packages": packages})

    return make


@pytest.fixture
def ms() -> dict[str, Any]:
    return {"version": "2.1.3", "integrity": STRONG, "license": "MIT"}
