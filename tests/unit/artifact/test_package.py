"""What cannot be packaged is an error with a name, whatever a build left."""

from pathlib import Path

import pytest

from cloche.artifact.errors import NotPackable
from cloche.artifact.package import write_package
from cloche.model.paths import JailPath
from cloche.model.step import ArtifactSpec
from cloche.workspace.merged import Entry


class Unreadable:
    """A built tree of one file that its own build closed to everybody."""

    def names(self, under: str = "", *, exclude: tuple[str, ...] = ()) -> tuple[Entry, ...]:
        del exclude
        return (Entry(path=JailPath.parse(f"{under}/closed"), kind="file", size=1, mode=0),)

    def open_file(self, path: JailPath) -> int:
        raise FileNotFoundError(2, "no regular file", str(path))


def test_a_file_that_cannot_be_read_is_not_packable(tmp_path: Path) -> None:
    spec = ArtifactSpec(name="app", version="1.0.0", include=("dist",))
    with pytest.raises(NotPackable, match="dist/closed"):
        write_package(Unreadable(), spec, tmp_path / "app.tar", {}, 0)
