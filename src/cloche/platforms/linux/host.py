"""How the host's root directory is laid out: read once, handed to the pure planner."""

import os

from cloche.sandbox.layout import CREDENTIAL_PLACES, SYSTEM_NAMES, HostSystem


def read_host_system() -> HostSystem:
    """Look at the host's top-level directories; follow none."""
    links = []
    directories = []
    for path in SYSTEM_NAMES:
        if os.path.islink(path):
            links.append((path, os.readlink(path)))
        elif os.path.isdir(path):
            directories.append(path)
    return HostSystem(
        links=tuple(links),
        directories=tuple(directories),
        masks=tuple(path for path in CREDENTIAL_PLACES if os.path.isdir(path)),
    )
