"""Learning which registry the user's cargo asks, from what it asks for when it reaches nothing.

No host of a registry is written here, and cargo prints its configuration to no one. So it is given a
package of ours with one dependency, outside of any project, and what it says and asks for is read:
first how manifests and locks call the registry, then where its index is, then where packages are.
"""

import json
import re

from cloche.model.ids import StepId
from cloche.model.step import Access, Mount, Net, Plan, Projection, Source, Step, Trust
from cloche.runtimes.provider import Answer, CannotPlan, HostFacts, RegistryFacts
from cloche.runtimes.rust.document import table, tables, text
from cloche.runtimes.rust.lint import SOURCE
from cloche.runtimes.rust.projection import PROJECTION
from cloche.runtimes.rust.vocabulary import CARGO, FETCH_MOUNTS, FETCHED, FETCHING, NEUTRAL

INDEX = "index"
"""Key of RegistryFacts.settings: the registry that the user's configuration puts in the place of the usual one."""
_QUESTIONS = "questions"
# Small, without dependencies, and needed by nearly everything: a mirror that lacks it is of no use.
_PROBE = "cfg-if"
_MANIFEST = f"""\
[package]
name = "question"
version = "0.0.0"
edition = "2021"

[dependencies]
{_PROBE} = "1"
"""
_ADDRESS = re.compile(
    r"failed to (?:download from|fetch|get successful HTTP response from) `(?P<url>https?://[^`\s]{1,1000})`"
)
_REPLACED = "replaced source registry"
# What the shared cache has would not be asked for.
_MOUNTS = (
    FETCH_MOUNTS[0],
    Mount(target=FETCHED, source=Source.SCRATCH, access=Access.WRITE),
    Mount(target=NEUTRAL, source=Source.USER_CONFIG, ref="cargo"),
)
_SCHEMES = {80: "http"}


def plan_discovery(facts: HostFacts) -> Plan | None:
    """Give the next question; None when what is known is all there is to know."""
    registry = facts.registry
    if registry is None:
        return _plan("discover-cargo", "Ask cargo how it calls its registry", "metadata", Net.NONE)
    asked = registry.settings.get(_QUESTIONS, "")
    if asked == "source":
        return _plan("discover-index", "Ask cargo where the registry is", "fetch", Net.NONE)
    if asked == "index":
        return _plan("discover-packages", "Ask cargo where packages are", "fetch", Net.REGISTRY)
    return None


def _plan(name: str, title: str, command: str, net: Net) -> Plan:
    local = ("--no-deps", "--format-version=1") if command == "metadata" else ()
    step = Step(
        id=StepId(name),
        title=title,
        argv=(CARGO, command, *local, "--manifest-path=/p/Cargo.toml"),
        trust=Trust.TOOL,
        net=net,
        cwd=NEUTRAL,
        # Once is enough to see whom it asks.
        env={**FETCHING, "CARGO_NET_RETRY": "0"},
        registry="cargo",
        mounts=_MOUNTS,
        limits="tool",
        optional=command == "fetch",
    )
    files = {"Cargo.toml": _MANIFEST.encode(), "src/lib.rs": b""}
    return Plan(
        verb="discover", steps=(step,), projections=(Projection(ref=PROJECTION, files=files),)
    )


def read_answer(answer: Answer, facts: HostFacts) -> RegistryFacts:
    """Say what is known after `answer`. Raises CannotPlan when cargo said nothing of use."""
    registry = facts.registry
    if registry is None:
        return RegistryFacts(urls=(), settings={SOURCE: _source(answer), _QUESTIONS: "source"})
    settings = dict(registry.settings)
    said = answer.errors.decode("utf-8", "replace")
    named = [match["url"] for match in _ADDRESS.finditer(said)]
    urls = (*registry.urls, *named, *map(_address, answer.asked))
    if settings[_QUESTIONS] == "source":
        settings[_QUESTIONS] = "index"
        if _REPLACED in said and named:
            settings[INDEX] = f"sparse+{named[0].removesuffix('config.json')}"
    else:
        settings[_QUESTIONS] = "all"
    return RegistryFacts(urls=tuple(dict.fromkeys(urls)), settings=settings)


def _source(answer: Answer) -> str:
    try:
        described = json.loads(answer.output)
    except (ValueError, RecursionError) as error:
        raise CannotPlan("cargo metadata", "it printed no JSON") from error
    for package in tables(table(described).get("packages")):
        for dependency in tables(package.get("dependencies")):
            if source := text(dependency.get("source")):
                return source
    raise CannotPlan("cargo metadata", "it names no registry")


def _address(asked: str) -> str:
    """Give the address of a host that was asked for; TLS unless the port says otherwise."""
    port = asked.rpartition(":")[2]
    return f"{_SCHEMES.get(int(port), 'https') if port.isdigit() else 'https'}://{asked}/"
