"""The TypeScript compiler's plain output (`--pretty false`), the same in 5.9 and 7.0."""

import re

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.node.diagnostics.location import project_file
from cloche.runtimes.provider import Reading

_PLACED = re.compile(
    r"(?P<file>[^()\s][^()]{0,1000})\((?P<line>\d{1,7}),(?P<column>\d{1,7})\): "
    r"(?P<severity>error|warning) (?P<code>TS\d{1,6}): (?P<message>.+)"
)
# As it prints on a terminal, and through the bundlers' own type-checking plug-ins.
_DASHED = re.compile(
    r"(?P<file>[^\s:][^:]{0,1000}):(?P<line>\d{1,7}):(?P<column>\d{1,7}) - "
    r"(?P<severity>error|warning) (?P<code>TS\d{1,6}): (?P<message>.+)"
)
_BARE = re.compile(r"(?P<severity>error|warning) (?P<code>TS\d{1,6}): (?P<message>.+)")


class TypeScriptParser:
    """Reads one diagnostic a line."""

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        del stream
        match = _PLACED.match(text) or _DASHED.match(text)
        if match is not None:
            return Reading(
                diagnostics=(
                    Diagnostic(
                        tool="tsc",
                        severity=Severity(match["severity"]),
                        message=match["message"],
                        code=match["code"],
                        file=project_file(match["file"]),
                        line=int(match["line"]),
                        column=int(match["column"]),
                    ),
                )
            )
        bare = _BARE.match(text)
        if bare is None:
            return Reading()
        return Reading(
            diagnostics=(
                Diagnostic(
                    tool="tsc",
                    severity=Severity(bare["severity"]),
                    message=bare["message"],
                    code=bare["code"],
                ),
            )
        )

    def end(self, exit_status: int) -> Reading:
        """Say nothing more: the compiler said all."""
        del exit_status
        return Reading()
