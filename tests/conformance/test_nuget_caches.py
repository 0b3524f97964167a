"""One project tries to poison what another gets: by a build step, by a feed that lied, by a package's own archive."""

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance.company_double import Authority
from tests.conformance.dotnet_sdk import Sdk
from tests.conformance.nuget_company import Company, application, found, said
from tests.conformance.nuget_double import Feed, package

from cloche.runtimes.dotnet.archive import content_hash

pytestmark = pytest.mark.slow

LOCKED = "<RestorePackagesWithLockFile>true</RestorePackagesWithLockFile>"
PROGRAM = "System.Console.WriteLine(typeof(Serilog.Log).Assembly.GetName());"
# A package that is taken for another: its targets run in the build of whoever gets it.
EVIL = package(
    "Serilog",
    "4.4.0",
    {
        "lib/net10.0/_._": "",
        "build/Serilog.targets": '<Project><Target Name="Evil" BeforeTargets="Build">'
        '<Error Text="POISONED" /></Target></Project>',
    },
)
# Everything that a build can write, it spoils: what was laid out, what says that it is whole, and the caches.
SPOIL = """
<Target Name="Spoiled" AfterTargets="Build">
  <Exec Command="sh spoil.sh" IgnoreExitCode="true" />
</Target>
"""
SPOIL_SH = """
for file in $(find /build /cache /offline /home /toolchain -name '*.nupkg*' -o -name '*.targets' \\
    -o -name 'Serilog.dll' -o -name 'NuGet.config' 2>/dev/null); do
  if echo POISONED > $file 2>/dev/null; then echo "spoiled $file"; else echo "could not $file"; fi
done
for place in $(ls -d /cache /cache/nuget /cache/nuget/* /cache/nuget/*/* /home/user/.nuget /build/packages 2>/dev/null); do
  if cp evil.nupkg $place/serilog.4.4.0.nupkg 2>/dev/null; then echo "planted in $place"; fi
done
"""


@pytest.fixture
def feed(sdk: Sdk, authority: Authority) -> Iterator[Feed]:
    with Feed(authority.context_for("localhost")) as made:
        made.add(sdk.feed, "serilog*")
        yield made


@pytest.fixture
def project(tmp_path: Path, sdk: Sdk, authority: Authority, feed: Feed) -> Callable[..., Company]:
    def make(name: str, *packages: str, properties: str = "", more: str = "") -> Company:
        made = Company(tmp_path / "home", tmp_path / name, sdk, authority)
        made.use(feed)
        text = application(*(packages or ("Serilog 4.4.0",)), properties=properties, more=more)
        made.write({"app.csproj": text, "app.cs": PROGRAM})
        return made

    return make


def digests(files: list[Path]) -> dict[str, str]:
    return {str(file): hashlib.sha512(file.read_bytes()).hexdigest() for file in files}


def test_a_build_that_spoils_all_it_can_reach_spoils_no_other_project(
    project: Callable[..., Company],
) -> None:
    evil = project("evil", more=SPOIL)
    evil.write({"spoil.sh": SPOIL_SH})
    (evil.project / "evil.nupkg").write_bytes(EVIL)
    assert evil.cloche("resolve")[-1]["outcome"] == "ok", evil.said
    before = digests(evil.kept())
    assert before
    events = evil.cloche("build")
    assert events[-1]["outcome"] == "ok", evil.said
    # It ran, and spoiled what is its own alone.
    assert "spoiled /build/packages/serilog/4.4.0/.nupkg.metadata" in evil.said
    assert "spoiled /cache" not in evil.said
    assert "spoiled /toolchain" not in evil.said
    assert digests(evil.kept()) == before
    honest = project("honest", properties=LOCKED)
    for verb in ("resolve", "build"):
        assert honest.cloche(verb)[-1]["outcome"] == "ok", honest.said
    assert digests(evil.kept()) | before == digests(honest.kept())
    assert "POISONED" not in honest.said
    assert all(
        hashlib.sha512(file.read_bytes()).hexdigest().upper() in file.name for file in honest.kept()
    )


def test_what_a_feed_lied_about_once_reaches_nobody_whose_lock_says_otherwise(
    project: Callable[..., Company], feed: Feed
) -> None:
    locked = project("locked", properties=LOCKED)
    assert locked.cloche("resolve")[-1]["outcome"] == "ok", locked.said
    lock = (locked.project / "packages.lock.json").read_bytes()
    honest = feed.packages["serilog", "4.4.0"]
    # A home of its own, in which the lie comes first.
    feed.packages["serilog", "4.4.0"] = EVIL
    victim = project("victim")
    victim.home = victim.home.parent / "other home"
    (victim.home / ".nuget/NuGet").mkdir(parents=True)
    victim.use(feed)
    assert victim.cloche("resolve")[-1]["outcome"] == "ok", victim.said
    feed.packages["serilog", "4.4.0"] = honest
    other = project("other", properties=LOCKED)
    other.home = victim.home
    (other.project / "packages.lock.json").write_bytes(lock)
    events = other.cloche("resolve")
    assert events[-1]["outcome"] == "ok", other.said
    assert "fetch-anew" in said(events, "step-started", "step")
    events = other.cloche("build")
    assert events[-1]["outcome"] == "ok", other.said
    assert "POISONED" not in other.said
    # And a lie that comes later changes nothing for who has what is locked.
    feed.packages["serilog", "4.4.0"] = EVIL
    late = project("late")
    assert late.cloche("resolve")[-1]["outcome"] == "ok", late.said
    for verb in ("resolve", "build"):
        assert locked.cloche(verb)[-1]["outcome"] == "ok", locked.said
    assert "POISONED" not in locked.said


def test_a_project_cannot_add_to_where_its_fetch_looks(
    project: Callable[..., Company], sdk: Sdk, authority: Authority
) -> None:
    evil = project("evil")
    (evil.project / "packages").mkdir()
    (evil.project / "packages/serilog.4.4.0.nupkg").write_bytes(EVIL)
    (evil.project / "nuget-plugin-evil").write_text("#!/bin/sh\ntouch /project/marker\n")
    (evil.project / "nuget-plugin-evil").chmod(0o755)
    evil.environment["NUGET_PLUGIN_PATHS"] = str(evil.project / "nuget-plugin-evil")
    with Feed(authority.context_for("localhost")) as trap:
        trap.packages["serilog", "4.4.0"] = EVIL
        evil.write(
            {
                "nuget.config": f"<configuration><packageSources><clear /><add key='trap' value='{trap.url}' />"
                "<add key='near' value='packages' /></packageSources>"
                "<fallbackPackageFolders><add key='fallback' value='packages' /></fallbackPackageFolders>"
                "<config><add key='globalPackagesFolder' value='packages' />"
                f"<add key='http_proxy' value='http://localhost:{trap.port}' /></config>"
                "<packageSourceMapping><packageSource key='trap'><package pattern='*' /></packageSource>"
                "</packageSourceMapping></configuration>",
            }
        )
        events = evil.cloche("resolve")
        assert events[-1]["outcome"] == "ok", evil.said
        assert trap.asked == []
    assert any("not followed" in note for note in said(events, "note", "text"))
    events = evil.cloche("build")
    assert events[-1]["outcome"] == "ok", evil.said
    assert not (evil.project / "marker").exists()
    true = hashlib.sha512((sdk.feed / "serilog.4.4.0.nupkg").read_bytes()).hexdigest()
    assert set(digests(evil.kept()).values()) == {true}


def test_servers_of_a_build_end_with_it(project: Callable[..., Company]) -> None:
    several = project(
        "several",
        more='<ItemGroup><ProjectReference Include="core/core.csproj" /><Compile Remove="core/**" /></ItemGroup>',
    )
    several.write(
        {
            "core/core.csproj": '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net10.0'
            "</TargetFramework></PropertyGroup></Project>",
            "core/core.cs": "public class Core;",
        }
    )
    assert several.cloche("resolve")[-1]["outcome"] == "ok", several.said
    assert several.cloche("build")[-1]["outcome"] == "ok", several.said
    assert ours(several) == []


def ours(company: Company) -> list[str]:
    """Give what still runs with a mount of this user's state."""
    alive = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            mounts = Path(f"/proc/{number}/mountinfo").read_text()
            words = Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            continue
        if str(company.home) in mounts:
            alive.append(words.replace(b"\0", b" ").decode())
    return alive


def _zip(files: dict[str, bytes], mode: int = 0) -> bytes:
    out = io.BytesIO(package("Evil", "1.0.0"))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return out.getvalue()


def _bomb() -> bytes:
    """Give a package of 6 MB that unpacks to six gigabytes."""
    return _zip({f"lib/net10.0/{number}.bin": bytes(1 << 30) for number in range(2)})


ANY = {"lib/net10.0/_._": b""}
ENTITIES = (
    "<!DOCTYPE p [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(
        f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><package><metadata><id>Evil</id><version>1.0.0</version><authors>&i;</authors>"
    "<description>d</description></metadata></package>"
)
OUTSIDE = (
    "<!DOCTYPE p [<!ENTITY x SYSTEM 'file:///home/user/.nuget/NuGet/NuGet.Config'>]><package><metadata>"
    "<id>Evil</id><version>1.0.0</version><authors>&x;</authors><description>d</description></metadata></package>"
)
# What is made, and what is said of it: first by NuGet, in the sandbox of the fetch, then by us.
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a way out": (lambda: _zip({"../../../../../../project/marker": b"out"}), "NU1402"),
    "a way into the cache": (
        lambda: _zip({"../../../cache/nuget/x/serilog.4.4.0.nupkg": EVIL}),
        "NU1402",
    ),
    "an absolute name": (lambda: _zip({"/tmp/marker": b"out"}), "leads out of it"),
    "backslashes": (lambda: _zip({"..\\..\\marker": b"out"}), "leads out of it"),
    "a link": (
        lambda: _zip({"lib/net10.0/_._": b"/etc/passwd"}, stat.S_IFLNK | 0o777),
        "is no file",
    ),
    "entities": (lambda: package("Evil", "1.0.0", nuspec=ENTITIES), "is not valid"),
    "a file of the user's": (lambda: package("Evil", "1.0.0", nuspec=OUTSIDE), "is not valid"),
    "another's name": (
        lambda: package("Evil", "1.0.0", nuspec=nuspec("Serilog", "4.4.0")),
        "is not valid",
    ),
    "an odd name": (
        lambda: package("Evil", "1.0.0", nuspec=nuspec("../Evil", "1.0.0")),
        "is not valid",
    ),
    "bytes behind the end": (
        lambda: package("Evil", "1.0.0", ANY) + b"x",
        "of the kind that NuGet makes",
    ),
}


def nuspec(name: str, version: str) -> str:
    return (
        f"<package><metadata><id>{name}</id><version>{version}</version><authors>a</authors>"
        "<description>d</description></metadata></package>"
    )


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_ends_in_a_typed_error_and_is_not_kept(
    project: Callable[..., Company], feed: Feed, name: str
) -> None:
    make, reason = ARCHIVES[name]
    feed.packages["evil", "1.0.0"] = make()
    evil = project("evil", "Evil 1.0.0")
    events = evil.cloche("resolve")
    assert events[-1]["code"] in ("step-failed", "package-refused"), evil.said
    assert reason in f"{events[-1]['message']} {found(events)}"
    assert evil.kept() == []
    assert not (evil.project / "marker").exists()
    assert not Path("/tmp/marker").exists()


def test_a_package_that_unpacks_without_end_meets_the_limit_of_the_step(
    project: Callable[..., Company], feed: Feed
) -> None:
    feed.packages["evil", "1.0.0"] = _bomb()
    evil = project("evil", "Evil 1.0.0")
    policy = evil.home / ".config/cloche/policy.yaml"
    policy.parent.mkdir(parents=True)
    default = Path(__file__).resolve().parents[2] / "src/cloche/policy/default.yaml"
    small = "limits: {fetch: {disk_bytes: 300000000}}"
    policy.write_text(default.read_text().replace("limits: {}", small))
    events = evil.cloche("resolve")
    assert events[-1]["code"] == "limit-breached", evil.said
    assert evil.kept() == []


def test_content_hashes_are_those_that_nuget_writes(
    project: Callable[..., Company], feed: Feed, sdk: Sdk
) -> None:
    """Every package that a test project needs, signed by its author or its registry."""
    feed.add(sdk.feed, "*")
    needs = ("xunit 2.9.3", "Microsoft.NET.Test.Sdk 18.11.0", "Dapper 2.1.86")
    made = project("many", *needs, "Microsoft.Extensions.Hosting 10.0.12", properties=LOCKED)
    assert made.cloche("resolve")[-1]["outcome"] == "ok", made.said
    document = json.loads((made.project / "packages.lock.json").read_text())
    entries = document["dependencies"]["net10.0"]
    assert len(entries) > 30
    for name, entry in entries.items():
        with (sdk.feed / f"{name.lower()}.{entry['resolved']}.nupkg").open("rb") as file:
            assert content_hash(file) == entry["contentHash"], name
