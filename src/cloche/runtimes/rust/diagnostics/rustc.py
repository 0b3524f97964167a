"""A build: cargo's JSON counts the units, rustc's own text is the diagnostics."""

import json
import re

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.provider import Reading
from cloche.runtimes.rust.diagnostics.cargo import CargoParser
from cloche.runtimes.rust.diagnostics.lacks import Lack, find_lack
from cloche.runtimes.rust.diagnostics.location import project_file

_HEADER = re.compile(
    r"(?P<severity>error|warning)(?:\[(?P<code>[A-Za-z0-9_:]{1,60})\])?: (?P<message>.+)"
)
_PLACE = re.compile(r"\s{0,20}--> (?P<file>.{1,1000}?):(?P<line>\d{1,7}):(?P<column>\d{1,7})\Z")
# "    Building [=====>      ] 12/57: serde, syn": drawn over and over.
_BAR = re.compile(r" {1,8}(?:Building|Checking) \[[=> ]*\] (?P<done>\d{1,6})/(?P<total>\d{1,6})")
# Sums of what was said before.
_SUMS = re.compile(
    r"(?:could not compile|aborting due to|.{1,200} generated \d+ warning|\d+ warnings? emitted"
    r"|build failed, waiting)"
)
_SCRIPT = re.compile(r"error: failed to run custom build command for `(?P<package>[^`]{1,200})`")
_MISSING = re.compile(r"error: no such command: `clippy`|'cargo-clippy' is not installed")
_UNITS = ("compiler-artifact", "build-script-executed")
_MOST_LACKS = 5
# No line that says anything is shorter, and there may be millions of those.
_SHORTEST = len("error: x")


class RustcParser:
    """Reads one build. A diagnostic is given when the next begins, since its place comes after it."""

    def __init__(self) -> None:
        self._open: Diagnostic | None = None
        self._script = ""
        self._lacks: dict[str, Lack] = {}
        self._total = 0
        self._cargo = CargoParser()
        self._found = False

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        return self._unit(text) if stream == "stdout" else self._said(text)

    def end(self, exit_status: int) -> Reading:
        """Give what is left: the last diagnostic, what is missing, or cargo's own error."""
        given = list(self._close())
        if exit_status == 0:
            return Reading(diagnostics=tuple(given))
        given += [_of_lack(lack, self._script) for lack in self._lacks.values()]
        if self._script and not self._lacks:
            message = f"the build script of {self._script} failed"
            given.append(Diagnostic(tool="cargo", severity=Severity.ERROR, message=message))
        if not given and not self._found:
            given += self._cargo.end(exit_status).diagnostics
        return Reading(diagnostics=tuple(given))

    def _unit(self, text: str) -> Reading:
        if not text.startswith('{"reason":'):
            return Reading()
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return Reading()
        if not isinstance(message, dict) or message.get("reason") not in _UNITS:
            return Reading()
        label = str(message.get("package_id", "")).rpartition("/")[2][:100]
        return Reading(done=1, label=label)

    def _said(self, text: str) -> Reading:
        if len(text) < _SHORTEST:
            return Reading(diagnostics=() if text.strip() else self._close())
        if bar := _BAR.match(text):
            total = int(bar["total"])
            if total == self._total:
                return Reading()
            self._total = total
            return Reading(total=total)
        lack = find_lack(text)
        if lack is not None and len(self._lacks) < _MOST_LACKS:
            self._lacks.setdefault(lack.what, lack)
        if _MISSING.search(text):
            message = "this toolchain has no clippy; with rustup: rustup component add clippy"
            return self._give(
                Diagnostic(tool="cargo", severity=Severity.NOTE, message=message, code="NO_CLIPPY")
            )
        if match := _SCRIPT.match(text):
            self._script = match["package"]
            return Reading(diagnostics=self._close())
        if match := _HEADER.match(text):
            return self._header(match, text)
        if self._open is not None and not self._open.file and (place := _PLACE.match(text)):
            self._open = Diagnostic(
                tool=self._open.tool,
                severity=self._open.severity,
                message=self._open.message,
                code=self._open.code,
                file=project_file(place["file"]),
                line=int(place["line"]),
                column=int(place["column"]),
            )
        elif not text.strip():
            return Reading(diagnostics=self._close())
        self._cargo.line("stderr", text)
        return Reading()

    def _header(self, match: re.Match[str], text: str) -> Reading:
        given = self._close()
        self._cargo.line("stderr", text)
        if _SUMS.match(match["message"]) or match["message"].startswith("linking with"):
            return Reading(diagnostics=given)
        if find_lack(text) is None:
            self._open = Diagnostic(
                tool="rustc",
                severity=Severity(match["severity"]),
                message=match["message"],
                code=match["code"] or "",
            )
        return Reading(diagnostics=given)

    def _close(self) -> tuple[Diagnostic, ...]:
        """Give the diagnostic that was open. One of cargo's own has no place in a source, and waits for the end."""
        closed, self._open = self._open, None
        if closed is None or (not closed.line and not closed.code):
            return ()
        self._found = True
        return (closed,)

    def _give(self, diagnostic: Diagnostic) -> Reading:
        self._found = True
        return Reading(diagnostics=(*self._close(), diagnostic))


def _of_lack(lack: Lack, script: str) -> Diagnostic:
    where = f" (the build script of {script})" if script else ""
    return Diagnostic(
        tool="cargo",
        severity=Severity.ERROR,
        message=f"{lack.what}{where}",
        code=lack.code,
        hint=lack.hint,
    )
