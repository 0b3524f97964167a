"""File names as rustc prints them, as names inside the project; anything else is dropped."""

from cloche.model.paths import JailPath, PathOutsideJail

_AT = "/project/"


def project_file(text: str) -> str:
    """Give the project-relative name of a file that rustc named; "" when it lies elsewhere."""
    try:
        return str(JailPath.parse(text.strip().removeprefix(_AT)))
    except (PathOutsideJail, UnicodeEncodeError):
        return ""
