"""What the shell says of a script whose command is not there."""

import re

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.provider import Reading

_MISSING = re.compile(
    r"(?:/bin/)?sh: (?:(?:line )?\d{1,6}: )?(?P<command>[A-Za-z0-9@._+/-]{1,100}): "
    r"(?:not found|command not found)\Z"
)


class ShellParser:
    """Reads one complaint a line."""

    def line(self, stream: str, text: str) -> Reading:
        """Take one line of standard error."""
        match = _MISSING.match(text) if stream == "stderr" else None
        if match is None:
            return Reading()
        return Reading(
            diagnostics=(
                Diagnostic(
                    tool="sh",
                    severity=Severity.ERROR,
                    message=f"a script runs {match['command']}, which is not installed",
                    code="COMMAND_NOT_FOUND",
                    hint="resolve first, or add what brings it to the devDependencies in package.json",
                ),
            )
        )

    def end(self, exit_status: int) -> Reading:
        """Say nothing more."""
        del exit_status
        return Reading()
