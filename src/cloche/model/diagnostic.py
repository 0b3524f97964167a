"""What a tool said about the code: parsed, bounded, stripped of control bytes."""

from dataclasses import dataclass
from enum import Enum

NO_NETWORK = "NO_NETWORK"
"""The code of a finding that a tool wanted the network and could not do without."""


class Severity(Enum):
    """How bad a tool says it is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding of a tool. The text comes from a sandbox: it is hostile until shown escaped."""

    tool: str
    severity: Severity
    message: str
    code: str = ""
    file: str = ""
    """Relative to the project; empty when the tool named none or one outside."""
    line: int = 0
    column: int = 0
    hint: str = ""
