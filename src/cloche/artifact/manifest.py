"""The manifest of a package: every member with its size and digest, as canonical JSON."""

import json
from dataclasses import dataclass

FORMAT = 1
NAME = "manifest.json"
CONTENT = "content/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file or link of a package."""

    path: str
    """Member name in the archive."""
    size: int
    sha256: str
    """Of the content; of a link, of its target's text."""
    executable: bool = False
    target: str = ""
    """Of a symbolic link; "" for a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a package says of itself."""

    name: str
    version: str
    members: tuple[Member, ...]

    def encode(self) -> bytes:
        """Give the one form of this manifest."""
        document = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "members": [_plain(member) for member in self.members],
        }
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True)
        return text.encode("ascii") + b"\n"


def decode(content: bytes) -> Manifest:
    """Read a manifest. Raises ValueError for anything that is not one."""
    document = json.loads(content)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("it is of another format")
    try:
        members = tuple(Member(**member) for member in document["members"])
        manifest = Manifest(
            name=str(document["name"]), version=str(document["version"]), members=members
        )
    except (KeyError, TypeError) as error:
        raise ValueError("a field is missing or unknown") from error
    # One form only: two readers could take a field given twice differently.
    if manifest.encode() != content:
        raise ValueError("it is not in canonical form")
    return manifest


def _plain(member: Member) -> dict[str, str | int | bool]:
    return {
        "path": member.path,
        "size": member.size,
        "sha256": member.sha256,
        "executable": member.executable,
        "target": member.target,
    }
