"""A test program as rustc's harness prints it: each test counted, each failure a diagnostic."""

import re

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.provider import Reading
from cloche.runtimes.rust.diagnostics.location import project_file
from cloche.runtimes.rust.diagnostics.rustc import RustcParser

_PROGRAM = re.compile(r"running (?P<count>\d{1,6}) tests?\Z")
_TEST = re.compile(r"test (?P<name>\S.{0,500}?) \.\.\. (?P<result>ok|FAILED|ignored.*)\Z")
_PANIC = re.compile(
    r"thread '(?P<name>[^']{1,500})'(?: \(\d+\))? panicked at "
    r"(?P<file>[^:]{1,1000}):(?P<line>\d{1,7}):(?P<column>\d{1,7}):?\Z"
)
_MOST_FAILED = 500


class HarnessParser:
    """Reads the run of all test programs; what is compiled on the way is read as a build."""

    def __init__(self) -> None:
        self._build = RustcParser()
        self._total = 0
        self._panics: dict[str, tuple[str, int, int]] = {}
        self._panicked = ""
        self._words: dict[str, str] = {}
        self._failed: list[str] = []

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        if match := _PROGRAM.match(text):
            self._total += int(match["count"])
            return Reading(total=self._total)
        if match := _TEST.match(text):
            if match["result"] == "FAILED" and len(self._failed) < _MOST_FAILED:
                self._failed.append(match["name"])
            return Reading(done=1, label=match["name"])
        if match := _PANIC.match(text):
            place = (project_file(match["file"]), int(match["line"]), int(match["column"]))
            self._panicked = match["name"] if len(self._panics) < _MOST_FAILED else ""
            self._panics.setdefault(match["name"], place)
            return Reading()
        if self._panicked:
            # The line after it says why.
            self._words.setdefault(self._panicked, text)
            self._panicked = ""
            return Reading()
        return self._build.line(stream, text) if stream == "stderr" else Reading()

    def end(self, exit_status: int) -> Reading:
        """Give the tests that failed, or else why none ran."""
        if not self._failed:
            return self._build.end(exit_status)
        return Reading(diagnostics=tuple(map(self._failure, self._failed)))

    def _failure(self, name: str) -> Diagnostic:
        file, line, column = self._panics.get(name, ("", 0, 0))
        why = self._words.get(name, "")
        return Diagnostic(
            tool="test",
            severity=Severity.ERROR,
            message=f"{name} failed{f': {why}' if why else ''}",
            code="TEST_FAILED",
            file=file,
            line=line,
            column=column,
        )
