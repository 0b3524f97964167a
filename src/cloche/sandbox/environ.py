"""The environment of a program inside: made from nothing, never from the host's."""

from collections.abc import Mapping

HOME = "/home/user"
TEMPORARY = "/tmp"  # noqa: S108 - the sandbox's own tmpfs
_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")


def clean_environment(
    step: Mapping[str, str], *, tool_paths: tuple[str, ...], epoch: int
) -> dict[str, str]:
    """Give the variables a program sees: ours, then the step's own.

    `tool_paths` come first in PATH; no directory of the project is ever in it.
    Locale, time zone and SOURCE_DATE_EPOCH are fixed, since each is a reason
    why the same sources would build differently.
    """
    return {
        "HOME": HOME,
        "TMPDIR": TEMPORARY,
        "PATH": ":".join((*tool_paths, *_SYSTEM_PATH)),
        "USER": "user",
        "LOGNAME": "user",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "CI": "1",
        "SOURCE_DATE_EPOCH": str(epoch),
        **step,
    }
