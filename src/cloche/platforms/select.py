"""The one place that asks which operating system this is."""

import sys

from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.platform import Platform


def select_platform() -> Platform:
    """Give the platform of this machine. Raises CannotConfine where there is none yet."""
    if sys.platform == "linux":
        from cloche.platforms.linux.spawn import LinuxPlatform  # noqa: PLC0415 - Linux only

        return LinuxPlatform()
    raise CannotConfine("platform", f"{sys.platform} is not supported yet", "use Linux")
