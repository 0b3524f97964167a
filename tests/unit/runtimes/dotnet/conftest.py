"""Projects as files in memory."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest

from cloche.runtimes.provider import HostFacts, RegistryFacts
from cloche.runtimes.toolchain import Toolchain


class Files:
    """A ProjectView of what a test says."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self._files = {n: c.encode() if isinstance(c, str) else c for n, c in files.items()}

    def names(self, pattern: str, *, limit: int = 1000) -> tuple[str, ...]:
        return tuple(sorted(n for n in self._files if fnmatchcase(n, pattern))[:limit])

    def read(self, name: str, *, limit: int = 1 << 20) -> bytes | None:
        content = self._files.get(name)
        return content if content is not None and len(content) <= limit else None


@pytest.fixture
def facts() -> HostFacts:
    sdk = Toolchain(
        name="dotnet",
        host_root="/opt/dotnet",
        inside="/toolchain/dotnet",
        version="10.0.401",
        digest="d" * 64,
    )
    return HostFacts(
        toolchains={"dotnet": sdk},
        registry=RegistryFacts(urls=("https://feed.example.org/index.json",)),
    )
