"""npm's own lines: what it fetched, and why it failed."""

import re
from urllib.parse import unquote

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.provider import Reading

_FETCHED = re.compile(r"npm http (?:fetch GET (?P<status>\d{3})|cache) (?P<address>\S{1,2000})")
_ERROR = re.compile(r"npm error(?: (?P<text>.*))?\Z")
_CODE = re.compile(r"code (?P<code>E[A-Z0-9_]{1,40})\Z")
_MOST_LINES = 30
_BORING = ("A complete log of this run", "Log files were not written", 'Run "npm help', "aliases:")
_HINTS = {
    "EUSAGE": "the lock does not fit what this registry offers",
    "ENOTCACHED": "the package is not in the cache; resolve once with the network",
    "EINTEGRITY": "what the registry sent is not what the lock promises: do not trust it",
    "E404": "the registry you use does not have this package or version",
    "ETARGET": "the registry you use does not have this version",
    "ERESOLVE": "two dependencies want different versions of the same peer",
    "EALLOWGIT": "a dependency comes from git; only registry packages are fetched",
    "EALLOWREMOTE": "a dependency comes from an address, or bundles others, which npm mistakes for it",
    "EALLOWFILE": "a dependency is an archive in the project; only registry packages are fetched",
    "EALLOWDIRECTORY": "a dependency is a directory that the project does not declare",
}


class NpmParser:
    """Counts packages fetched, and gathers npm's error into one diagnostic."""

    def __init__(self) -> None:
        self._code = ""
        self._lines: list[str] = []
        self._seen: set[str] = set()

    def line(self, stream: str, text: str) -> Reading:
        """Take one line of standard error; npm says nothing of this on standard output."""
        if stream != "stderr":
            return Reading()
        if match := _FETCHED.match(text):
            return self._fetched(match["address"], match["status"])
        if match := _ERROR.match(text):
            self._error((match["text"] or "").strip())
        return Reading()

    def end(self, exit_status: int) -> Reading:
        """Give npm's error as one diagnostic."""
        if exit_status == 0 or not (self._code or self._lines):
            return Reading()
        return Reading(
            diagnostics=(
                Diagnostic(
                    tool="npm",
                    severity=Severity.ERROR,
                    message=" ".join(self._lines)[:4000] or "npm failed",
                    code=self._code,
                    hint=_HINTS.get(self._code, ""),
                ),
            )
        )

    def _fetched(self, address: str, status: str | None) -> Reading:
        # Of a package it has, npm prints "name@address"; the address alone is the same in both lines.
        address = address[max(address.find("http"), 0) :]
        name = address.partition("?")[0].rpartition("/")[2]
        # A package is a tarball; the many other answers are lists of versions.
        if not name.endswith(".tgz") or (status or "200") not in ("200", "304"):
            return Reading()
        if address in self._seen:
            return Reading()
        if len(self._seen) < 100_000:
            self._seen.add(address)
        return Reading(done=1, label=unquote(name.removesuffix(".tgz")))

    def _error(self, text: str) -> None:
        code = _CODE.match(text)
        if code is not None:
            self._code = self._code or code["code"]
        elif text and not text.startswith(_BORING) and len(self._lines) < _MOST_LINES:
            self._lines.append(text[:500])
