"""The lines of our own ESLint formatter (`eslint-lines.cjs`)."""

import json

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.node.diagnostics.location import project_file
from cloche.runtimes.provider import Reading

_ERROR = 2


class EslintParser:
    """Reads one JSON object a line."""

    def line(self, stream: str, text: str) -> Reading:
        """Take one line; what is not ours is passed over."""
        if stream != "stdout" or not text.startswith("{"):
            return Reading()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return Reading()
        if not isinstance(value, dict) or not isinstance(value.get("message"), str):
            return Reading()
        severity = Severity.ERROR if value.get("severity") == _ERROR else Severity.WARNING
        return Reading(
            diagnostics=(
                Diagnostic(
                    tool="eslint",
                    severity=severity,
                    message=value["message"],
                    code=str(value.get("rule", ""))[:200],
                    file=project_file(str(value.get("file", ""))),
                    line=_number(value.get("line")),
                    column=_number(value.get("column")),
                ),
            )
        )

    def end(self, exit_status: int) -> Reading:
        """Say nothing more."""
        del exit_status
        return Reading()


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else 0
