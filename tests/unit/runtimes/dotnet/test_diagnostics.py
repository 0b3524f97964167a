"""What tools print, as findings."""

import pytest

from cloche.runtimes.dotnet.cached import cache_entry
from cloche.runtimes.dotnet.diagnostics.msbuild import NEEDS_PACK, MsbuildParser
from cloche.runtimes.dotnet.diagnostics.vstest import FAILED, VstestParser


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("/project/P.cs(3,7): error CS1002: ; expected [/project/a.csproj]", ("CS1002", "P.cs", 3, 7)),
        ("/project/a.csproj : error NU1101: Unable to find package X. [/project/a.slnx]", ("NU1101", "a.csproj", 0, 0)),
        ("MSBUILD : error MSB1009: Project file does not exist.", ("MSB1009", "", 0, 0)),
        ("CSC : error CS5001: no Main [/project/a.csproj]", ("CS5001", "", 0, 0)),
        ("/etc/passwd(1,1): error CS0001: elsewhere", ("CS0001", "", 1, 1)),
        ("a.csproj : error NU1101: Unable to find package Microsoft.NETCore.App.Runtime.win-x64. No", (NEEDS_PACK, "a.csproj", 0, 0)),
    ],
)  # fmt: skip
def test_a_finding_is_read_once(line: str, found: tuple[str, str, int, int]) -> None:
    parser = MsbuildParser()
    (diagnostic,) = parser.line("stdout", line).diagnostics
    assert (diagnostic.code, diagnostic.file, diagnostic.line, diagnostic.column) == found
    assert parser.line("stdout", f"  {line}").diagnostics == ()


def test_a_failed_test_is_told_with_its_place() -> None:
    parser = VstestParser()
    told = []
    for line in (
        "  Failed Lib.Tests.GreetsByName [3 ms]",
        "  Error Message:",
        "   Assert.Equal() Failure: Strings differ",
        "  Stack Trace:",
        "     at Lib.Tests.GreetsByName() in /project/tests/T.cs:line 7",
        "  Passed Lib.Tests.Other [1 ms]",
    ):
        told += parser.line("stdout", line).diagnostics
    (found,) = told
    assert (found.code, found.file, found.line) == (FAILED, "tests/T.cs", 7)
    assert "Strings differ" in found.message


def test_only_packages_under_their_digest_are_kept() -> None:
    digest = "AB" * 64
    place = "0123456789abcdef/fedcba9876543210"
    entry = cache_entry(f"{place}/serilog.4.4.0+{digest}.nupkg", {})
    assert entry is not None
    assert entry.digest == digest.lower()
    assert entry.also == f"0123456789abcdef/all/serilog.4.4.0+{digest}.nupkg"
    for path in (f"{place}/serilog.4.4.0.nupkg", "serilog/4.4.0/lib/Serilog.dll",
                 f"0123456789abcdef/../x+{digest}.nupkg", f"x/a+{digest}.nupkg", f"{place}/../x+{digest}.nupkg",
                 f"0123456789abcdef/all/a.1.0.0+{digest}.nupkg", f"{place}/.a+{digest}.nupkg"):  # fmt: skip
        assert cache_entry(path, {}) is None
