"""Vite, Rolldown, esbuild and Next: prose with a file name in it, so lower confidence than a compiler's."""

import re

from cloche.model.diagnostic import NO_NETWORK, Diagnostic, Severity
from cloche.runtimes.node.diagnostics.location import project_file
from cloche.runtimes.provider import Reading

_ESBUILD = re.compile(
    r"\s*(?P<file>[^\s:()\[\]]{1,1000}\.[A-Za-z]{1,8}):(?P<line>\d{1,7}):(?P<column>\d{1,7}): "
    # In small letters it is a C compiler, whose warnings about other people's packages are noise.
    r"(?P<severity>ERROR|WARNING|error): (?P<message>.+)"
)
_FRAME = re.compile(
    r"\s*(?:at |file: |╭─\[ ?|,-\[|\.?/)?(?P<file>[^\s:()\[\]]{1,1000}\.(?:[cm]?[jt]sx?|css|vue|svelte|html))"
    r":(?P<line>\d{1,7}):(?P<column>\d{1,7})"
)
_NAMED = re.compile(r"\s*\[(?P<code>[A-Za-z][A-Za-z0-9:_.-]{1,60})\] (?P<message>.+)")
_PLUGIN = re.compile(r"\s*\[plugin (?P<code>[^\]\s]{1,60})\]")
_THROWN = re.compile(r"\s*(?:[A-Z][A-Za-z]{0,40})?Error: (?P<message>.+)")
_START = re.compile(
    r"(?:error during build|Build failed|Failed to compile|✗ Build failed|\[vite\])"
)
_IMPORT = re.compile(
    r"[Ff]ailed to resolve import [\"'](?P<name>[^\"']{1,200})[\"'] from [\"'](?P<file>[^\"']{1,1000})[\"']"
)
_FONTS = re.compile(r"[Ff]ailed to fetch [`'\"]?(?P<font>[^`'\"]{1,80}?)[`'\"]? from Google Fonts")
_ADDRESS = re.compile(r"(?:getaddrinfo|connect) (?P<why>E[A-Z]+) (?P<host>[A-Za-z0-9.-]{1,253})")

_MOST_WANTED = 100


class BundlerParser:
    """Reads a bundler's complaint, and what a build wanted from a network it has not."""

    def __init__(self) -> None:
        self._failing = False
        self._pending: tuple[str, str] | None = None
        self._plugin = ""
        # By what was wanted: a tool that went on without it, as most do, has nothing to complain of.
        self._wanted: dict[str, Diagnostic] = {}

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        del stream
        if match := _IMPORT.search(text):
            return _unresolved(match)
        if _START.search(text):
            self._failing = True
            return Reading()
        if match := _ESBUILD.match(text):
            severity = Severity(match["severity"].lower())
            return _found(match["message"], severity=severity, place=match)
        if match := _FONTS.search(text):
            return self._want(
                match["font"],
                f"the build wants the font {match['font']} from the network",
                "keep the font in the project and load it with next/font/local",
            )
        if match := _ADDRESS.search(text):
            return self._want(
                match["host"],
                f"the build wants the network: {match['host']} ({match['why']})",
                "a build has no network; fetch what it needs beforehand and keep it in the project",
            )
        return self._placed(text) if self._failing else Reading()

    def end(self, exit_status: int) -> Reading:
        """Give what the network was wanted for, and a complaint whose place never came."""
        if exit_status == 0:
            return Reading()
        wanted = tuple(self._wanted.values())
        if wanted or self._pending is None:
            return Reading(diagnostics=wanted)
        code, message = self._pending
        return _found(message, code=code)

    def _placed(self, text: str) -> Reading:
        """Join a complaint with the place that follows it, some lines later."""
        if plugin := _PLUGIN.match(text):
            self._plugin = plugin["code"]
        if self._pending is None:
            if named := _NAMED.match(text):
                self._pending = (named["code"], named["message"])
            elif thrown := _THROWN.match(text):
                self._pending = (self._plugin, thrown["message"])
            return Reading()
        place = _FRAME.match(text)
        if place is None or "node_modules/" in place["file"]:
            return Reading()
        (code, message), self._pending = self._pending, None
        return _found(message, code=code, place=place)

    def _want(self, key: str, message: str, hint: str) -> Reading:
        if len(self._wanted) < _MOST_WANTED:
            self._wanted.setdefault(
                key,
                Diagnostic(
                    tool="bundler",
                    severity=Severity.ERROR,
                    message=message,
                    code=NO_NETWORK,
                    hint=hint,
                ),
            )
        return Reading()


def _unresolved(match: re.Match[str]) -> Reading:
    return Reading(
        diagnostics=(
            Diagnostic(
                tool="bundler",
                severity=Severity.ERROR,
                message=f"{match['name']!r} is imported and is not there",
                code="UNRESOLVED_IMPORT",
                file=project_file(match["file"]),
                hint="add the package to the dependencies in package.json, or mend the path",
            ),
        )
    )


def _found(
    message: str,
    *,
    severity: Severity = Severity.ERROR,
    code: str = "",
    place: re.Match[str] | None = None,
) -> Reading:
    return Reading(
        diagnostics=(
            Diagnostic(
                tool="bundler",
                severity=severity,
                message=message,
                code=code,
                file=project_file(place["file"]) if place is not None else "",
                line=int(place["line"]) if place is not None else 0,
                column=int(place["column"]) if place is not None else 0,
            ),
        )
    )
