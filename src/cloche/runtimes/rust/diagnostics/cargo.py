"""What cargo itself says: what it downloads, and why it gives up."""

import re

from cloche.model.diagnostic import NO_NETWORK, Diagnostic, Severity
from cloche.runtimes.provider import Reading

LOCK_STALE = "LOCK_STALE"
_DOWNLOADED = re.compile(r" {1,20}Downloaded (?P<label>[A-Za-z0-9_-]{1,200} v[^ ]{1,100})\Z")
_ERROR = re.compile(r"error: (?P<text>.+)")
_MOST_LINES = 40
# (code, what the error holds, hint), the first that fits.
_KINDS = (
    (
        LOCK_STALE,
        re.compile(r"cannot (?:update|create) the lock ?file|needs to be updated but --locked"),
        "the lock does not fit the manifests: `cloche resolve` mends it",
    ),
    (
        "CHECKSUM",
        re.compile(r"checksum for `|failed to verify the checksum"),
        "what the registry has, or once had, is not what the lock promises: do not trust it",
    ),
    (
        "NOT_CACHED",
        re.compile(r"--offline|offline mode|--frozen was passed"),
        "the package is not in the cache; resolve once with the network",
    ),
    (
        "NOT_FOUND",
        re.compile(r"no matching package|could not be found in registry|no such (?:crate|package)"),
        "the registry you use does not have this package",
    ),
    (
        "NO_VERSION",
        re.compile(r"failed to select a version"),
        "the registry you use has no version that fits, or two packages cannot agree on one",
    ),
    (
        NO_NETWORK,
        re.compile(
            r"[Cc]ould not resolve host|[Cc]ouldn't connect|spurious network error|CONNECT tunnel"
        ),
        "the registry could not be reached",
    ),
    (
        "LOCK_VERSION",
        re.compile(r"lock file version .* (?:was found|requires)"),
        "the lock was written by a newer cargo than the one found here",
    ),
)


class CargoParser:
    """Counts packages, and gathers cargo's error with its causes into one diagnostic."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def line(self, stream: str, text: str) -> Reading:
        """Take one line of standard error; cargo says nothing of this on standard output."""
        if stream != "stderr":
            return Reading()
        if match := _DOWNLOADED.match(text):
            return Reading(done=1, label=match["label"])
        if match := _ERROR.match(text):
            self._lines = [match["text"]]
        elif self._lines and len(self._lines) < _MOST_LINES and text.strip():
            self._lines.append(text.strip())
        return Reading()

    def end(self, exit_status: int) -> Reading:
        """Give cargo's error as one diagnostic."""
        if exit_status == 0 or not self._lines:
            return Reading()
        message = " ".join(line for line in self._lines if line != "Caused by:")[:4000]
        code, hint = _kind(message)
        found = Diagnostic(
            tool="cargo", severity=Severity.ERROR, message=message, code=code, hint=hint
        )
        return Reading(diagnostics=(found,))


def _kind(message: str) -> tuple[str, str]:
    for code, pattern, hint in _KINDS:
        if pattern.search(message):
            return code, hint
    return "", ""
