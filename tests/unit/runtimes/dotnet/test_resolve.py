"""What a resolve plans: a lock where one is wanted, what the lock names, and nothing that others brought in its way."""

import json

import pytest
from tests.unit.runtimes.dotnet.conftest import Files

from cloche.kernel.invariants import check_plan
from cloche.model.step import Plan
from cloche.runtimes.dotnet.provider import DotNetProvider
from cloche.runtimes.provider import Answer, CannotPlan, HostFacts, LintRefused, RegistryFacts

DIGEST, OTHER = "A" * 86 + "==", "B" * 85 + "A=="
WANTS_LOCK = "<RestorePackagesWithLockFile>true</RestorePackagesWithLockFile>"


def project(properties: str = "", version: str = "4.4.0") -> str:
    return (
        '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net10.0</TargetFramework>'
        f"{properties}</PropertyGroup><ItemGroup><PackageReference Include='Serilog' Version='{version}' />"
        "</ItemGroup></Project>"
    )


def lock(digest: str = DIGEST, version: str = "4.4.0") -> str:
    entry = {"type": "Direct", "requested": "[4.4.0, )", "resolved": version, "contentHash": digest}
    return json.dumps({"version": 1, "dependencies": {"net10.0": {"Serilog": entry}}})


def planned(files: dict[str, str], facts: HostFacts) -> Plan:
    plan = DotNetProvider().resolve_dependencies(Files(files), facts)
    check_plan(plan)
    return plan


def test_a_lock_that_the_project_wants_is_made_before_anything_else(facts: HostFacts) -> None:
    plan = planned({"app.csproj": project(WANTS_LOCK, "4.*")}, facts)
    assert [step.id for step in plan.steps] == ["lock"]
    assert plan.again
    made = plan.steps[0].outputs[0]
    assert (made.commit_to, made.linter) == ("packages.lock.json", "nuget-lock")
    again = planned({"app.csproj": project(WANTS_LOCK, "4.*"), "packages.lock.json": lock()}, facts)
    assert [step.id for step in again.steps] == ["fetch", "fetch-anew", "restore"]
    assert not again.again


def test_what_a_lock_names_is_what_the_cache_takes(facts: HostFacts) -> None:
    files = {"app.csproj": project(), "packages.lock.json": lock(version="4.4")}
    fetch, anew, restore = planned(files, facts).steps
    assert fetch.outputs[0].digests == {"serilog.4.4.0": DIGEST}
    assert fetch.fallback == anew.id
    assert "--locked-mode" in restore.argv


def test_the_second_try_takes_nothing_that_other_projects_brought(facts: HostFacts) -> None:
    plan = planned({"app.csproj": project(), "packages.lock.json": lock()}, facts)
    shared, anew = (
        projection.files["NuGet.config"]
        for projection in plan.projections
        if projection.ref != "offline"
    )
    assert b"/all" in shared
    assert b"/cache" not in anew


def test_a_lock_is_looked_for_where_nuget_looks(facts: HostFacts) -> None:
    files = {"my app.csproj": project(), "packages.lock.json": lock(OTHER)}
    named = {**files, "packages.my_app.lock.json": lock()}
    for given, name, digest in (
        (files, "packages.lock.json", OTHER),
        (named, "packages.my_app.lock.json", DIGEST),
    ):
        plan = planned(given, facts)
        assert plan.steps[0].outputs[0].digests == {"serilog.4.4.0": digest}
        assert f"tree/{name}" in plan.projections[1].files
    elsewhere = project("<NuGetLockFilePath>other.json</NuGetLockFilePath>")
    with pytest.raises(CannotPlan):
        planned({"app.csproj": elsewhere}, facts)


def test_a_lock_that_is_missing_is_made_beside_those_that_are_there(facts: HostFacts) -> None:
    files = {
        "all.slnx": '<Solution><Project Path="a/a.csproj" /><Project Path="b/b.csproj" /></Solution>',
        "a/a.csproj": project(WANTS_LOCK),
        "b/b.csproj": project(WANTS_LOCK),
        "a/packages.lock.json": lock(),
    }
    plan = planned(files, facts)
    (step,) = plan.steps
    assert [output.commit_to for output in step.outputs] == ["b/packages.lock.json", ""]
    assert b"RestoreLockedMode" not in plan.projections[0].files["fetch.proj"]
    again = planned({**files, "b/packages.lock.json": lock()}, facts)
    assert b"RestoreLockedMode=true" in again.projections[1].files["fetch.proj"]


def test_locks_that_do_not_agree_about_a_package_are_refused(facts: HostFacts) -> None:
    files = {
        "all.slnx": '<Solution><Project Path="a/a.csproj" /><Project Path="b/b.csproj" /></Solution>',
        "a/a.csproj": project(),
        "b/b.csproj": project(),
        "a/packages.lock.json": lock(),
        "b/packages.lock.json": lock(OTHER),
    }
    with pytest.raises(LintRefused, match="another content hash") as refusal:
        planned(files, facts)
    assert refusal.value.name == "b/packages.lock.json"


def test_a_lock_that_a_step_left_is_read_as_strictly_as_any(facts: HostFacts) -> None:
    provider = DotNetProvider()
    provider.lint("nuget-lock", lock().encode(), facts)
    for content in (b"", b"[]", lock("short").encode()):
        with pytest.raises((CannotPlan, LintRefused)):
            provider.lint("nuget-lock", content, facts)


def test_what_sources_name_in_turn_does_not_change_where_their_packages_are_kept(
    facts: HostFacts,
) -> None:
    """Else a feed that is away, and so names nothing, would hide what came from it."""
    settings = {"sources": "https://feed.example.org/index.json"}
    configurations = set()
    for urls in (("https://feed.example.org/index.json",), ("https://feed.example.org/index.json", "https://x.example.org/")):  # fmt: skip
        known = HostFacts(
            toolchains=facts.toolchains, registry=RegistryFacts(urls=urls, settings=settings)
        )
        plan = planned({"app.csproj": project()}, known)
        configurations.add(next(p.files["NuGet.config"] for p in plan.projections))
    assert len(configurations) == 1


def test_hosts_are_learned_until_there_is_nothing_new(facts: HostFacts) -> None:
    provider = DotNetProvider()
    registry = provider.read_discovery(
        Answer(output=b"E https://feed.example.org/index.json\n"),
        HostFacts(toolchains=facts.toolchains),
    )
    for asked, expected in (
        ((), ()),  # the question about a proxy
        (("a.example.org:443", "b.example.org:7", "c.example.org:80"), ("a", "b")),
        (("a.example.org:443", "169.254.169.254:8080", "127.1:443", "2130706433"), ("a", "b")),
    ):
        known = HostFacts(toolchains=facts.toolchains, registry=registry)
        assert provider.discovery(known) is not None
        registry = provider.read_discovery(Answer(output=b"", exit_status=1, asked=asked), known)
        assert {url.split("/")[2].split(".")[0] for url in registry.urls} == {"feed", *expected}
    assert provider.discovery(HostFacts(toolchains=facts.toolchains, registry=registry)) is None
