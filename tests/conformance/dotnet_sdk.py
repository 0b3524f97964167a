"""A .NET SDK and a folder of packages for the tests: the user's own, or those that lie beside the checkout."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloche.kernel.errors import NoToolchain
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.dotnet.provider import DotNetProvider
from cloche.runtimes.toolchain import Toolchain

BESIDE = Path(__file__).resolve().parents[3] / "shared/toolchains"
"""Holds `unpack DEST`, which prints a DOTNET_ROOT, and `nuget/*.nupkg`; CLOCHE_TEST_DOTNET names another."""
_WANTED = "10."
# Python has filters of archives from 3.11.4 on, and Debian 12 an older one. What is unpacked has been
# held against its digest by then.
_UNPACK = """
import runpy, sys, tarfile
if not hasattr(tarfile, "tar_filter"):
    whole = tarfile.TarFile.extractall
    tarfile.TarFile.extractall = lambda self, path, filter: whole(self, path)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# Python before 3.11.4 knows no filters of tarfile; what is unpacked has its digest checked.
_UNPACK = """
import runpy, sys, tarfile
if not hasattr(tarfile, "tar_filter"):
    unfiltered = tarfile.TarFile.extractall
    tarfile.TarFile.extractall = lambda tar, path, filter: unfiltered(tar, path)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """What the tests build with."""

    tool: Toolchain
    feed: Path

    def environment(self, home: Path) -> dict[str, str]:
        """Give the variables of a user in `home` whose one source of packages is the folder."""
        configuration = home / ".nuget/NuGet/NuGet.Config"
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(
            f'<configuration><packageSources><clear /><add key="local" value="{self.feed}" />'
            "</packageSources></configuration>"
        )
        return {
            "DOTNET_ROOT": self.tool.host_root,
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
        }


def find_sdk(memory: Path) -> Sdk:
    """Find both; skip the test, naming what is not there.

    Looked through in this order: DOTNET_ROOT, PATH and the user's own places, then CLOCHE_TEST_DOTNET
    or the folder beside the checkout.
    """
    place = Path(os.environ.get("CLOCHE_TEST_DOTNET") or BESIDE)
    if not any((place / "nuget").glob("*.nupkg")):
        pytest.skip(f"no folder of NuGet packages to restore from: {place}/nuget holds none")
    found = _found(os.environ, memory)
    if found is None or not found.version.startswith(_WANTED):
        had = f"SDK {found.version}" if found else "no SDK in DOTNET_ROOT or PATH"
        found = _found({"DOTNET_ROOT": _unpacked(place, had)}, memory)
    if found is None:
        pytest.skip(f"what {place}/unpack made is no .NET SDK")
    return Sdk(tool=found, feed=place / "nuget")


def _found(environment: Mapping[str, str], memory: Path) -> Toolchain | None:
    try:
        return find_toolchains(DotNetProvider.toolchains, environment, memory)["dotnet"]
    except NoToolchain:
        return None


def _unpacked(place: Path, had: str) -> str:
    if not (place / "unpack").is_file():
        pytest.skip(f"needs a .NET SDK {_WANTED}x: {had}, and {place}/unpack is not there")
    # Once for all runs of a user: 322 MB in some ten seconds.
    kept = Path(tempfile.gettempdir()) / f"cloche-tests-dotnet-{os.geteuid()}"
    done = subprocess.run(
        [sys.executable, "-c", _UNPACK, str(place / "unpack"), str(kept)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"needs a .NET SDK {_WANTED}x: {had}, and none to unpack: {done.stderr}")
    return done.stdout.strip()
