"""What MSBuild, the compilers and NuGet print: one finding a line, said several times over."""

import re

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.model.paths import JailPath, PathOutsideJail
from cloche.runtimes.provider import Reading

NEEDS_PACK = "NEEDS_PACK"
"""The code of a finding that a source of packages has not what a kind of program takes."""
_FINDING = re.compile(
    r"\s*(?:(?P<file>[^\s:][^:]{0,1000}?)(?:\((?P<line>\d{1,7})(?:,(?P<column>\d{1,7}))?[^)]{0,40}\))?\s*:\s+)?"
    r"(?P<severity>error|warning)\s*(?P<code>[A-Za-z]{1,12}\d{1,6})?\s*:\s*(?P<message>.*)"
)
_PROJECT = re.compile(r"(?:\A|\s+)\[[^\[\]]{1,1000}\]\Z")
_BUILT = re.compile(r"\s+(?P<name>\S{1,200}) -> \S")
_RESTORED = re.compile(r"\s*Restored (?P<name>.{1,1000}) \(in ")
_PACK = re.compile(
    r"\b(Microsoft\.(?:NETCore|AspNetCore|WindowsDesktop)\.App\.[A-Za-z0-9.\-]+|runtime\.[a-z0-9.\-]+\.Microsoft\.[A-Za-z0-9.\-]+"
    r"|Microsoft\.DotNet\.ILCompiler|Microsoft\.NET\.ILLink\.Tasks|Microsoft\.NETCore\.App\.Crossgen2\.[a-z0-9.\-]+)"
)
_ABSENT = frozenset({"NU1100", "NU1101", "NU1102"})
_TOOLS = {"NU": "nuget", "CS": "csc", "BC": "vbc", "FS": "fsc"}
_MOST = 2000


class MsbuildParser:
    """Reads one finding a line, each once; progress is a project that is restored or built."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        del stream
        if done := _BUILT.match(text) or _RESTORED.match(text):
            return Reading(done=1, label=done["name"])
        match = _FINDING.match(text)
        if match is None or not match["message"]:
            return Reading()
        message = _PROJECT.sub("", match["message"])
        if not message:
            return Reading()  # the end of a message that had an end of line in it
        # The summary says everything again, and each target framework does.
        key = (*(match[name] or "" for name in ("file", "line", "column", "code")), message)
        if key in self._seen or len(self._seen) >= _MOST:
            return Reading()
        self._seen.add(key)
        return Reading(diagnostics=(_finding(match, message),))

    def end(self, exit_status: int) -> Reading:
        """Say nothing more."""
        del exit_status
        return Reading()


def _finding(match: "re.Match[str]", message: str) -> Diagnostic:
    code = match["code"] or ""
    hint = ""
    if code in _ABSENT and (pack := _PACK.search(message)):
        message = f"needs PACK {pack[1].rstrip('.')}: {message}"
        hint = "no source of yours has this pack: add one that does, or publish for another runtime"
        code = NEEDS_PACK
    return Diagnostic(
        tool=_TOOLS.get((match["code"] or "")[:2], "msbuild"),
        severity=Severity(match["severity"]),
        message=message,
        code=code,
        file=project_file(match["file"] or ""),
        line=int(match["line"] or 0),
        column=int(match["column"] or 0),
        hint=hint,
    )


def project_file(text: str) -> str:
    """Give the project-relative name of a file a tool named; "" when it lies elsewhere."""
    for place in ("/project/", "/p/tree/"):
        if text.startswith(place):
            text = text.removeprefix(place)
            break
    else:
        if text.startswith("/") or "." not in text:
            return ""
    try:
        return str(JailPath.parse(text.strip()))
    except (PathOutsideJail, UnicodeEncodeError):
        return ""
