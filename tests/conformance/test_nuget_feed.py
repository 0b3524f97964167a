"""`cloche` with packages from a feed over TLS, as only the user's own NuGet.Config names it.

Everything is on loopback: what the user names may be there, and what the
project names may not, however it names it.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.company_double import Authority, TunnelProxy
from tests.conformance.dotnet_sdk import Sdk
from tests.conformance.nuget_company import Company, application, found, said
from tests.conformance.nuget_double import Answer, Feed, nuget_config, package

pytestmark = pytest.mark.slow

LOGIN = ("builder", "open-sesame-5f2c")
SERILOG = "/flat/serilog/4.4.0/serilog.4.4.0.nupkg"
PROGRAM = {
    "app.csproj": application("Serilog.Sinks.Console 6.1.1"),
    "app.cs": 'using Serilog; new LoggerConfiguration().WriteTo.Console().CreateLogger().Information("hi");',
}
# Runs in the build: prints what a build can see, and tries the ways out.
SPY = """
<Target Name="Spy" BeforeTargets="Build">
  <Exec Command="env; cat /proc/self/environ /home/user/.nuget/NuGet/NuGet.Config /p/* || true" />
  <Exec Command="ls -laR /home/user /p || true" />
  <Exec Command="python3 reach.py || true" />
</Target>
"""
REACH = """
import socket
for port in (PORT, 3128):
    for host in ("127.0.0.1", "localhost", "::1"):
        try:
            with socket.create_connection((host, port), 3) as way:
                way.sendall(b"CONNECT localhost:PORT HTTP/1.1\\r\\nHost: localhost:PORT\\r\\n\\r\\n")
                print(host, port, way.recv(100))
        except OSError as error:
            print(host, port, error)
"""


@pytest.fixture
def feed(sdk: Sdk, authority: Authority) -> Iterator[Feed]:
    with Feed(authority.context_for("localhost")) as made:
        made.add(sdk.feed, "serilog*")
        yield made


@pytest.fixture
def company(tmp_path: Path, sdk: Sdk, authority: Authority, feed: Feed) -> Company:
    made = Company(tmp_path / "home", tmp_path / "project", sdk, authority)
    made.use(feed)
    made.write(PROGRAM)
    return made


def printed(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"] for event in events if event["type"] == "output")


def test_a_program_ships_from_the_feed_and_again_while_the_feed_is_away(
    company: Company, sdk: Sdk, authority: Authority
) -> None:
    with Feed(authority.context_for("localhost")) as feed:
        feed.add(sdk.feed, "serilog*")
        company.use(feed)
        events = company.cloche("ship")
        assert events[-1]["outcome"] == "ok", company.said
        assert said(events, "allowed", "what") == {f"connect localhost:{feed.port}"}
        assert not said(events, "denied", "tried")
        assert SERILOG in feed.paths()
    program = company.project / "artifacts/publish/app/app.dll"
    dotnet = f"{company.environment['DOTNET_ROOT']}/dotnet"
    ran = subprocess.run([dotnet, program], capture_output=True, text=True, check=False)
    assert ran.stdout.endswith("hi\n"), ran.stderr
    # Another project of the user's that needs the same, and no feed any more.
    again = Company(company.home, company.project.parent / "again", sdk, authority)
    again.write(PROGRAM)
    for one in (company, again):
        events = one.cloche("resolve")
        assert events[-1]["outcome"] == "ok", one.said
        assert "fetch" not in said(events, "step-started", "step")


@pytest.mark.parametrize("mapped", [False, True])
def test_the_feeds_index_may_keep_packages_on_another_host(
    company: Company, feed: Feed, *, mapped: bool
) -> None:
    pattern = "<packageSource key='company'><package pattern='Serilog*' /></packageSource>"
    if mapped:
        company.use(feed, more=f"<packageSourceMapping>{pattern}</packageSourceMapping>")
    feed.flat = "https://packages.example.org:7/flat/"
    events = company.cloche("resolve")
    # It is a host that the user's own feed names, so it is tried, and only its name is nobody's.
    assert events[-1]["code"] == "step-failed"
    rules = {(event["rule"], event["tried"]) for event in events if event["type"] == "denied"}
    assert {rule for rule, _ in rules} == {"network.unreachable"}, rules


@pytest.mark.parametrize("way", ["file", "variable in the file", "variable of NuGet's"])
def test_credentials_reach_the_feed_and_no_build(
    tmp_path: Path, sdk: Sdk, authority: Authority, way: str
) -> None:
    company = Company(tmp_path / "home", tmp_path / "project", sdk, authority)
    with Feed(authority.context_for("localhost"), LOGIN) as feed:
        feed.add(sdk.feed, "serilog*")
        if way == "file":
            company.use(feed, login=LOGIN)
        elif way == "variable in the file":
            company.use(feed, login=(LOGIN[0], "%COMPANY_PASSWORD%"))
            company.environment |= {"COMPANY_PASSWORD": LOGIN[1], "OTHER": "not-mentioned-31"}
        else:
            company.use(feed)
            words = f"Username={LOGIN[0]};Password={LOGIN[1]}"
            company.environment["NuGetPackageSourceCredentials_company"] = words
        company.write(PROGRAM)
        company.write(
            {
                "app.csproj": application("Serilog.Sinks.Console 6.1.1", more=SPY),
                "reach.py": REACH.replace("PORT", str(feed.port)),
            }
        )
        events = company.cloche("resolve")
        assert events[-1]["outcome"] == "ok", company.said
        assert company.places_of(LOGIN[1]) == []
        feed.asked.clear()
        events = company.cloche("build")
        assert events[-1]["outcome"] == "ok", company.said
        assert "DOTNET_CLI_TELEMETRY_OPTOUT=1" in printed(events)  # the spy ran
        assert feed.asked == []
    assert company.places_of(LOGIN[1]) == []
    assert company.places_of("not-mentioned-31") == []


def test_without_credentials_nothing_comes_and_the_reason_is_told(
    company: Company, sdk: Sdk, authority: Authority
) -> None:
    with Feed(authority.context_for("localhost"), LOGIN) as feed:
        feed.add(sdk.feed, "serilog*")
        company.use(feed, login=(LOGIN[0], "wrong"))
        events = company.cloche("resolve")
    assert events[-1]["code"] == "step-failed"
    assert "NU1301" in found(events)
    assert "401 (Unauthorized)" in found(events)
    assert "--store-password-in-clear-text" in found(events)
    assert company.kept() == []


def real(sdk: Sdk) -> bytes:
    return (sdk.feed / "serilog.4.4.0.nupkg").read_bytes()


LIES: dict[str, tuple[str, str]] = {
    "404 for a package": (SERILOG, "lists package 'Serilog.4.4.0'"),
    "404 for all": ("/", "404 (Not Found)"),
    "500": (SERILOG, "500 (Internal Server Error)"),
    "wrong bytes": (SERILOG, "is not valid"),
    "half the bytes": (SERILOG, "ended prematurely"),
    "half the bytes, as if they were all": (SERILOG, "is not valid"),
    "another package": (SERILOG, "Expected package Serilog 4.4.0, but got package Other 1.0.0"),
    "a page to log in": ("/v3", "not a valid JSON object"),
    "another host": (SERILOG, "none of your sources names"),
    "another host, unencrypted": (SERILOG, "302 (Found)"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_feed_ends_in_a_typed_error_and_an_empty_cache(
    company: Company, feed: Feed, sdk: Sdk, name: str
) -> None:
    path, reason = LIES[name]
    half = real(sdk)[: len(real(sdk)) // 2]
    feed.instead[path] = {
        "404": Answer(404),
        "500": Answer(500),
        "wrong bytes": Answer(200, b"no package"),
        "half the bytes": Answer(200, half, promised=2 * len(half)),
        "half the bytes, as if they were all": Answer(200, half),
        "another package": Answer(200, package("Other", "1.0.0")),
        "a page to log in": Answer(200, b"<html>"),
        "another host": Answer(302, location="https://elsewhere.example.org/x.nupkg"),
        "another host, unencrypted": Answer(302, location="http://elsewhere.example.org/x"),
    }[name if name in LIES and not name.startswith("404") else "404"]
    company.write({"app.csproj": application("Serilog 4.4.0")})
    events = company.cloche("resolve")
    assert events[-1]["code"] == "step-failed", company.said
    assert reason in found(events), found(events)
    assert company.kept() == []
    assert not (company.project / "obj").exists()
    tried = {event["tried"] for event in events if event["type"] == "denied"}
    assert tried == ({"connect elsewhere.example.org:443"} if name == "another host" else set())
    # What was refused once is not held against an honest feed.
    feed.instead.clear()
    assert company.cloche("resolve")[-1]["outcome"] == "ok", company.said


def test_a_proxy_in_nugets_own_configuration_is_refused_with_what_to_do(
    company: Company, feed: Feed
) -> None:
    company.configure(
        nuget_config(feed.url, more="<config><add key='http_proxy' value='http://p:1'/></config>")
    )
    events = company.cloche("resolve")
    assert events[-1]["code"] == "cannot-plan"
    assert "https_proxy" in events[-1]["message"]
    assert feed.asked == []


def test_the_users_proxy_is_the_next_hop(company: Company, sdk: Sdk, authority: Authority) -> None:
    name, password = "feed.example.org", "swordfish-77aa"
    with (
        Feed(authority.context_for(name), LOGIN, name=name, port=443) as hidden,
        TunnelProxy(hidden.port, "user", password) as proxy,
    ):
        hidden.add(sdk.feed, "serilog*")
        company.use(hidden, login=LOGIN)
        company.environment["https_proxy"] = proxy.url
        events = company.cloche("resolve")
        assert events[-1]["outcome"] == "ok", company.said
        assert set(proxy.asked) == {f"{name}:443"}
        assert proxy.refused == []
        assert SERILOG in hidden.paths()
    assert company.places_of(password) == []
    assert company.places_of(LOGIN[1]) == []


@pytest.mark.parametrize("way", ["import", "sdk"])
def test_an_sdk_that_a_project_names_is_not_downloaded(
    company: Company, feed: Feed, way: str
) -> None:
    touch = '<Project><Target Name="E" BeforeTargets="Restore"><Exec Command="touch /project/marker" /></Target></Project>'
    feed.packages["evil.sdk", "1.0.0"] = package(
        "Evil.Sdk", "1.0.0", {"Sdk/Sdk.props": touch, "Sdk/Sdk.targets": touch}
    )
    text = application("Serilog 4.4.0", more='<Import Project="Sdk.props" Sdk="Evil.Sdk/1.0.0" />')
    if way == "sdk":
        text = application("Serilog 4.4.0").replace("NET.Sdk", "NET.Sdk;Evil.Sdk/1.0.0")
    company.write({"app.csproj": text})
    events = company.cloche("resolve")
    assert events[-1]["code"] == ("step-failed" if way == "import" else "cannot-plan"), company.said
    assert not [path for path in feed.paths() if "evil" in path]
    assert not (company.project / "marker").exists()
