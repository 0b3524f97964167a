"""What detection reads of a project as it lies on disk."""

import os
from pathlib import Path

from cloche.kernel.view import DirectoryView


def test_what_is_no_regular_file_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "other").symlink_to("directory")
    (tmp_path / "directory/file").write_text("text")
    os.mkfifo(tmp_path / "pipe")
    view = DirectoryView(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for name in ("directory", "link", "pipe", "none", "file/below", "other/file"):
        assert view.read(name) is None
    assert len(os.listdir("/proc/self/fd")) == before
    assert view.read("file") == b"text"
    assert view.read("file", limit=3) is None
