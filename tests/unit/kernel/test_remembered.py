"""What was learned of a registry is believed for as long as it was learned of the same."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cloche.kernel.caches import Cache
from cloche.kernel.registry import Registry
from cloche.kernel.remembered import recall, remember
from cloche.runtimes.dotnet.provider import DotNetProvider
from cloche.runtimes.provider import RegistryFacts
from cloche.runtimes.rust.provider import RustProvider
from cloche.runtimes.toolchain import Toolchain

RUST = Toolchain(name="rust", host_root="/t", inside="/t", version="1.95.0", digest="0" * 64)
FACTS = RegistryFacts(urls=("https://index.example.org/",), settings={"questions": "all"})


@pytest.fixture
def machine(tmp_path: Path) -> Any:
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo/config.toml").write_text("")
    return SimpleNamespace(
        caches={name: Cache(tmp_path / "caches", name) for name in ("cargo", "nuget")},
        toolchains={"rust": RUST},
        environment={"HOME": str(tmp_path)},
    )


def learned(machine: Any, provider: Any) -> None:
    registry = Registry(facts=FACTS, hosts=(), upstream=None)
    session: Any = SimpleNamespace(machine=machine, provider=provider, registry=registry)
    remember(session)


def test_it_is_what_was_learned(machine: Any) -> None:
    assert recall(RustProvider(), machine) is None
    learned(machine, RustProvider())
    assert recall(RustProvider(), machine) == FACTS


def test_another_configuration_variable_or_tool_is_asked_again(machine: Any) -> None:
    learned(machine, RustProvider())
    home = Path(machine.environment["HOME"])
    machine.environment["CARGO_HTTP_TIMEOUT"] = "1"
    assert recall(RustProvider(), machine) is None
    del machine.environment["CARGO_HTTP_TIMEOUT"]
    machine.toolchains["rust"] = replace(RUST, digest="1" * 64)
    assert recall(RustProvider(), machine) is None
    machine.toolchains["rust"] = RUST
    (home / ".cargo/config.toml").write_text("[net]\n")
    assert recall(RustProvider(), machine) is None
    (home / ".cargo/config.toml").write_text("")
    assert recall(RustProvider(), machine) == FACTS


def test_what_is_damaged_is_asked_again(machine: Any) -> None:
    learned(machine, RustProvider())
    for content in (b"", b"[]", b'{"key": 1}', b"\xff"):
        machine.caches["cargo"].write_learned(content)
        assert recall(RustProvider(), machine) is None


def test_a_tool_that_reads_more_than_we_know_of_is_always_asked(machine: Any) -> None:
    learned(machine, DotNetProvider())
    assert recall(DotNetProvider(), machine) is None
