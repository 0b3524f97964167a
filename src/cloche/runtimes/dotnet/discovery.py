"""Learning the user's NuGet sources from the SDK itself, over empty directories."""

import re
from dataclasses import replace
from urllib.parse import urlsplit

from cloche.model.ids import StepId
from cloche.model.step import Access, Mount, Net, Plan, Projection, Source, Step, Trust
from cloche.runtimes.dotnet.vocabulary import (
    CACHE,
    DOTNET,
    QUIET,
    SOURCES,
    environment,
    fetch_environment,
)
from cloche.runtimes.provider import Answer, CannotPlan, HostFacts, RegistryFacts

PLACES = "places"
"""Key of the settings that names sources which are directories."""
_SETTLED = "settled"
_PROXY = "proxy"
_LINE = re.compile(r"(?P<state>[ED])[A-Z]* (?P<place>\S.*)\Z")
_ODD = re.compile(r":80\Z|(\A|\.)[0-9]+(:[0-9]+)?\Z")
# A package that nobody has: asking for it names every host that a package would come from.
_ASK = """\
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <TargetFramework>{framework}</TargetFramework>
    <DisableImplicitFrameworkReferences>true</DisableImplicitFrameworkReferences>
  </PropertyGroup>
  <ItemGroup><PackageDownload Include="cloche.asks.for.nothing" Version="[0.0.1]" /></ItemGroup>
</Project>
"""
# Also of those sources that the user takes only some packages from.
_OF_ALL = b"<configuration><packageSourceMapping><clear /></packageSourceMapping></configuration>\n"


def plan_discovery(facts: HostFacts) -> Plan | None:
    """Plan the next question: which sources, then which hosts their packages come from."""
    if facts.registry is None:
        return _question(
            "discover-nuget",
            "Ask NuGet which sources you use",
            ("nuget", "list", "source", "--format", "Short"),
            {},
        )
    if facts.registry.settings.get(_SETTLED):
        return None
    if _PROXY not in facts.registry.settings:
        asking = _question(
            "discover-proxy",
            "Ask NuGet whether it has a proxy of its own",
            ("nuget", "config", "get", "http_proxy"),
            {},
        )
        return replace(asking, steps=(replace(asking.steps[0], optional=True),))
    framework = f"net{facts.toolchains['dotnet'].version.partition('.')[0]}.0"
    asking = _question(
        "discover-hosts",
        "Ask your sources where their packages are",
        ("restore", "/p/ask.csproj", "--packages=/p/packages", "-p:NuGetAudit=false", *QUIET),
        {"ask.csproj": _ASK.format(framework=framework).encode(), "NuGet.config": _OF_ALL},
    )
    step = replace(
        asking.steps[0],
        net=Net.REGISTRY,
        optional=True,
        limits="lock",
        # Whoever may not be reached yet is not asked twice.
        env=fetch_environment(
            NUGET_ENABLE_ENHANCED_HTTP_RETRY="true", NUGET_ENHANCED_MAX_NETWORK_TRY_COUNT="1"
        ),
    )
    return replace(asking, steps=(step,))


def read_discovery(answer: Answer, facts: HostFacts) -> RegistryFacts:
    """Read an answer. Raises CannotPlan when NuGet names no source, or a proxy of its own."""
    if facts.registry is None:
        return _read_sources(answer.output)
    urls, settings = facts.registry.urls, dict(facts.registry.settings)
    if _PROXY not in settings:
        _check_proxy(answer)
        return RegistryFacts(urls=urls, settings=settings | {_PROXY: "none"})
    known = {_place(url) for url in urls}
    # A source's index may name other hosts for its packages, by name; without encryption none is asked.
    named = (f"https://{host}/" for host in answer.asked if not _ODD.search(host))
    new = tuple(url for url in named if _place(url) not in known)
    if not new:
        settings[_SETTLED] = "yes"
    return RegistryFacts(urls=(*urls, *new), settings=settings)


def _check_proxy(answer: Answer) -> None:
    """Raise CannotPlan where the user's NuGet.Config names a proxy: NuGet would have it open the tunnels.

    It counts for more with NuGet than any variable does, and behind it every host could be reached.
    """
    if answer.exit_status == 0 and answer.output.strip():
        raise CannotPlan(
            "http_proxy in your NuGet.Config",
            "NuGet would go through it to any host, past the list of those that it may reach",
            "remove it there, and name the proxy in the variable https_proxy, which is followed outside",
        )


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443


def _read_sources(output: bytes) -> RegistryFacts:
    lines = output.decode("utf-8", "replace").splitlines()
    found = [
        match["place"] for line in lines if (match := _LINE.match(line)) and match["state"] == "E"
    ]
    if not found:
        raise CannotPlan(
            "dotnet nuget list source",
            "it names no source that is enabled",
            "dotnet nuget add source",
        )
    urls = tuple(dict.fromkeys(found))
    places = [url.removeprefix("file://") for url in urls if not _is_remote(url)]
    settings = {PLACES: "\n".join(places), SOURCES: "\n".join(urls)}
    if len(places) == len(urls):
        settings[_SETTLED] = "yes"
    return RegistryFacts(urls=urls, settings=settings)


def _is_remote(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def _question(name: str, title: str, words: tuple[str, ...], files: dict[str, bytes]) -> Plan:
    step = Step(
        id=StepId(name),
        title=title,
        argv=(DOTNET, *words),
        trust=Trust.TOOL,
        net=Net.NONE,
        cwd="/p",
        env=environment(),
        registry="nuget",
        mounts=(
            Mount(target="/p", source=Source.PROJECTION, ref="empty", access=Access.WRITE),
            Mount(target="/home/user", source=Source.USER_CONFIG, ref=CACHE),
        ),
        limits="tool",
    )
    return Plan(verb="discover", steps=(step,), projections=(Projection(ref="empty", files=files),))
