"""A fetch: as MSBuild speaks, and each package that arrives."""

import re
from dataclasses import replace

from cloche.model.diagnostic import Diagnostic
from cloche.runtimes.dotnet.diagnostics.msbuild import MsbuildParser
from cloche.runtimes.provider import Reading

_INSTALLED = re.compile(r"\s*Installed (?P<name>\S{1,120} \S{1,80}) from ")


LOCK_DIFFERS = "NU1403"
"""The code of NuGet's finding that a package is not the one that a lock names."""
_CREDENTIALS = (
    "this source wants credentials: dotnet nuget update source NAME --username USER --password TOKEN"
    " --store-password-in-clear-text"
)
_ELSEWHERE = (
    "the source sends on to a host that none of your sources names, which is never followed"
)
_DIFFERS = (
    "the package is not the one that was locked: compare it with where the lock was made; if the new one is"
    " meant, remove packages.lock.json and resolve again"
)
_STALE = "the project has outgrown its lock: dotnet restore --force-evaluate, or remove packages.lock.json"
_HINTS = (
    (re.compile(r"NU1403\Z"), _DIFFERS),
    (re.compile(r"NU1004\Z"), _STALE),
    (re.compile(r"\b(401 \(Unauthorized\)|403 \(Forbidden\))"), _CREDENTIALS),
    (re.compile(r"proxy tunnel request .{0,200} failed with status code '403'"), _ELSEWHERE),
)


class NugetParser:
    """Counts packages; everything else is MSBuild's."""

    def __init__(self) -> None:
        self._rest = MsbuildParser()

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        if found := _INSTALLED.match(text):
            return Reading(done=1, label=found["name"])
        diagnostics = self._rest.line(stream, text).diagnostics
        return Reading(diagnostics=tuple(_hinted(one) for one in diagnostics))

    def end(self, exit_status: int) -> Reading:
        """Say nothing more."""
        return self._rest.end(exit_status)


def _hinted(finding: Diagnostic) -> Diagnostic:
    text = f"{finding.message} {finding.code}"
    hint = next((hint for said, hint in _HINTS if said.search(text)), finding.hint)
    return replace(finding, hint=hint)
