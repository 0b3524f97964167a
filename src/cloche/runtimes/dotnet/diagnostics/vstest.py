"""VSTest on a console: each test that failed, with the place that its stack names."""

import re

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.dotnet.diagnostics.msbuild import MsbuildParser, project_file
from cloche.runtimes.provider import Reading

FAILED = "TEST_FAILED"
_RESULT = re.compile(
    r"\s{1,4}(?P<outcome>Passed|Failed|Skipped) (?P<name>\S.{0,1000}?) \[[^\]]{1,40}\]\Z"
)
_PLACE = re.compile(r"\s+at .{1,2000} in (?P<file>[^:]{1,1000}):line (?P<line>\d{1,7})\Z")
_MESSAGE, _STACK = "Error Message:", "Stack Trace:"
_MOST_LINES = 12


class VstestParser:
    """Reads results; a failure is told when the next result, or the end, shows that it is whole."""

    def __init__(self) -> None:
        self._rest = MsbuildParser()
        self._name = ""
        self._said: list[str] = []
        self._place = ("", 0)
        self._in_stack = False

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        if result := _RESULT.match(text):
            told = self._tell()
            if result["outcome"] == "Failed":
                self._name = result["name"]
            return Reading(diagnostics=told, done=1, label=result["name"])
        if not self._name:
            return self._rest.line(stream, text)
        if place := _PLACE.match(text):
            if not self._place[0]:
                self._place = project_file(place["file"]), int(place["line"])
        elif text.strip() == _STACK:
            self._in_stack = True  # from here on only the place is of use
        elif self._in_stack:
            return self._rest.line(stream, text)
        elif text.strip() and text.strip() != _MESSAGE and len(self._said) < _MOST_LINES:
            self._said.append(text.strip())
        return Reading()

    def end(self, exit_status: int) -> Reading:
        """Tell the last failure."""
        del exit_status
        return Reading(diagnostics=self._tell())

    def _tell(self) -> tuple[Diagnostic, ...]:
        if not self._name:
            return ()
        found = Diagnostic(
            tool="vstest",
            severity=Severity.ERROR,
            message=f"{self._name}: {' '.join(self._said)[:2000]}",
            code=FAILED,
            file=self._place[0],
            line=self._place[1],
        )
        self._name, self._said, self._place, self._in_stack = "", [], ("", 0), False
        return (found,)
