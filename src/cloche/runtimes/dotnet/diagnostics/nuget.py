"""A fetch: as MSBuild speaks, and each package that arrives."""

import re

from cloche.runtimes.dotnet.diagnostics.msbuild import MsbuildParser
from cloche.runtimes.provider import Reading

_INSTALLED = re.compile(r"\s*Installed (?P<name>\S{1,120} \S{1,80}) from ")


class NugetParser:
    """Counts packages; everything else is MSBuild's."""

    def __init__(self) -> None:
        self._rest = MsbuildParser()

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        if found := _INSTALLED.match(text):
            return Reading(done=1, label=found["name"])
        return Reading(diagnostics=self._rest.line(stream, text).diagnostics)

    def end(self, exit_status: int) -> Reading:
        """Say nothing more."""
        return self._rest.end(exit_status)
