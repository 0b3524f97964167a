"""Asked again, a tool tells what a registry told it: that is not what the user's configuration says."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from cloche.kernel import discovery
from cloche.kernel.discovery import learn_registry
from cloche.model.ids import StepId
from cloche.model.step import Net, Plan, Step, Trust
from cloche.runtimes.provider import Answer, HostFacts, RegistryFacts
from cloche.runtimes.toolchain import UserConfig

INDEX = ("https://index.example.org/",)


class Provider:
    """Asks once without a network and once with one."""

    runtime_id = "cargo"
    user_config = UserConfig(home_files=())

    def discovery(self, facts: HostFacts) -> Plan | None:
        known = len(facts.registry.urls) if facts.registry else 0
        if known > 1:
            return None
        step = Step(
            id=StepId("ask"),
            title="Ask",
            argv=("@cargo/bin/cargo",),
            trust=Trust.TOOL,
            net=Net.REGISTRY if known else Net.NONE,
        )
        return Plan(verb="discover", steps=(step,))

    def read_discovery(self, answer: Answer, facts: HostFacts) -> RegistryFacts:
        del answer
        return RegistryFacts(urls=(*INDEX, "http://metadata/") if facts.registry else INDEX)


@pytest.mark.parametrize(
    ("index", "trusted"), [("8.8.8.8", ()), ("10.1.2.3", ("169.254.169.254",))]
)
def test_a_host_that_a_registry_names_is_held_to_where_that_registry_is(
    monkeypatch: pytest.MonkeyPatch, index: str, trusted: tuple[str, ...]
) -> None:
    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(0, 0, 0, "", (index if host != "metadata" else "169.254.169.254", port))]

    async def ask(plan: Plan, session: object) -> Answer:
        del plan, session
        return Answer(output=b"")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(discovery, "_ask", ask)
    session: Any = SimpleNamespace(
        provider=Provider(), registry=None, machine=SimpleNamespace(environment={})
    )
    session.facts = lambda: HostFacts(
        toolchains={}, registry=session.registry.facts if session.registry else None
    )
    found = asyncio.run(learn_registry(session))
    assert found is not None
    assert [rule.pattern.text for rule in found.hosts] == ["index.example.org", "metadata"]
    assert found.hosts[1].trusted_addresses == trusted
