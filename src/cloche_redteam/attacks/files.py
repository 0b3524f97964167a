"""Attacks on the file tree: reading and writing what was never shown."""

import os

from cloche_redteam.attack import attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait


@attack("files", "the plainest of all: an absolute path")
def read_a_secret_by_its_path(bait: "Bait") -> "str | None":
    """Read a file of the user's by its path on the host."""
    with open(bait["secret_file"], encoding="utf-8") as file:
        return "read it" if bait["secret_text"] in file.read() else None


@attack("files", "symbolic links that leave, CVE-2026-39861")
def read_a_secret_through_a_link(bait: "Bait") -> "str | None":
    """Read a file of the user's through a symbolic link in the working directory."""
    link = f"link-{os.getpid()}"
    os.symlink(bait["secret_file"], link)
    try:
        with open(link, encoding="utf-8") as file:
            return "read it" if bait["secret_text"] in file.read() else None
    finally:
        os.unlink(link)
