"""node-gyp's lines: what a native module needs of the machine, and did not find."""

import re

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.provider import Reading

_MISSING = (
    (re.compile(r"gyp ERR! .*not found: (?P<tool>make|gmake)\Z"), ""),
    (
        re.compile(
            r"gyp ERR! find Python (?P<tool>)(?:Could not find any Python|Python is not set)"
        ),
        "python3",
    ),
    (
        re.compile(r"make(?:\[\d+\])?: (?P<tool>[a-z+]{1,12}): (?:No such file|Command not found)"),
        "",
    ),
    (
        re.compile(
            r"(?:/bin/)?sh: (?:\d+: )?(?P<tool>cc|c\+\+|gcc|g\+\+|clang|clang\+\+): .*not found"
        ),
        "",
    ),
)
_HINT = (
    "install a C++ compiler, make and Python 3 (on Debian: apt-get install g++ make python3),"
    " or choose a version of the package that carries a program for this Node"
)


class GypParser:
    """Reads the failure of a native module's compilation into one diagnostic."""

    def __init__(self) -> None:
        self._missing: dict[str, None] = {}

    def line(self, stream: str, text: str) -> Reading:
        """Take one line."""
        del stream
        for pattern, name in _MISSING:
            if match := pattern.search(text):
                self._missing[name or match["tool"]] = None
        return Reading()

    def end(self, exit_status: int) -> Reading:
        """Say what is missing, when that is why it failed."""
        if exit_status == 0 or not self._missing:
            return Reading()
        return Reading(
            diagnostics=(
                Diagnostic(
                    tool="node-gyp",
                    severity=Severity.ERROR,
                    message=(
                        "a native module must be compiled, and this machine lacks "
                        + ", ".join(self._missing)
                    ),
                    code="NO_COMPILER",
                    hint=_HINT,
                ),
            )
        )
