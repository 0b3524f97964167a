"""Names of files inside a jail: relative, normalised, unable to climb out.

Lexical only. A `JailPath` says which file is meant; opening it is done through
directory descriptors (`workspace/jail.py`), so that a link swapped in between
cannot redirect the access.
"""

from dataclasses import dataclass

from cloche.errors import ClocheError

_LONGEST = 4096  # PATH_MAX, linux/limits.h


class PathOutsideJail(ClocheError):
    """A path was absolute, climbed with "..", or held a byte no path may hold."""

    code = "path-outside-jail"
    exit_status = 66
    remedy = "Give a path inside the project, relative to its root."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} is not a path inside the project: {why}")
        self.path, self.why = path, why


@dataclass(frozen=True, slots=True, order=True)
class JailPath:
    """A relative path of at least one part, without ".", ".." or NUL.

    >>> str(JailPath.parse("src//app/./main.ts"))
    'src/app/main.ts'
    >>> JailPath.parse("../etc/passwd")
    Traceback (most recent call last):
    ...
    cloche.model.paths.PathOutsideJail: '../etc/passwd' is not a path inside the project: it climbs with ".."
    """

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise PathOutsideJail("", "it is empty")
        for part in self.parts:
            if part in ("", ".", "..") or "/" in part or "\0" in part:
                raise PathOutsideJail("/".join(self.parts), f"it has the part {part!r}")

    @classmethod
    def parse(cls, text: str) -> "JailPath":
        """Read `text`; doubled slashes and "." are dropped, ".." is refused, never resolved.

        Raises PathOutsideJail.
        """
        if text.startswith("/"):
            raise PathOutsideJail(text, "it is absolute")
        if "\0" in text:
            raise PathOutsideJail(text, "it holds a NUL")
        try:
            size = len(text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            raise PathOutsideJail(ascii(text[:80]), "no file can have this name") from error
        if size > _LONGEST:
            raise PathOutsideJail(text[:80], f"it is longer than {_LONGEST} bytes")
        parts = tuple(part for part in text.split("/") if part not in ("", "."))
        if ".." in parts:
            raise PathOutsideJail(text, 'it climbs with ".."')
        return cls(parts)

    def __str__(self) -> str:
        return "/".join(self.parts)

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    def is_within(self, other: "JailPath") -> bool:
        """Tell whether this is `other` or lies below it, part by part."""
        return self.parts[: len(other.parts)] == other.parts
