"""A host whose /usr is made of several mounts, or of overlays that leave no room for one more."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

JAIL = Path(__file__).parent / "jail.py"


def _inside(tmp_path: Path, mounts: str, script: str) -> dict[str, object]:
    """Run `script` in a sandbox of a host that has `mounts` as well; it is a host of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare to mount over /usr where nobody else sees it")
    request = json.dumps({"argv": ["/bin/sh", "-c", script]})
    done = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-ec",
            f'{mounts}\nexec "$0" "$1" "$2"',
            sys.executable,
            JAIL,
            request,
        ],
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_what_is_mounted_below_it_is_shown_too(tmp_path: Path) -> None:
    place = tmp_path / "a place"
    place.mkdir()
    (place / "inner").write_text("from another mount\n")
    done = _inside(
        tmp_path,
        "mount --bind 'a place' /usr/share/doc",
        "cat /usr/share/doc/inner; ls /usr/bin/env",
    )
    assert done["stdout"] == "from another mount\n/usr/bin/env\n"
    assert done["report"]["mount-namespace"] == "full"  # type: ignore[index]


def test_where_no_overlay_can_lie_on_it_the_report_says_so(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    deep = "\n".join(
        f"mount -t overlay overlay -o lowerdir=/usr:{tmp_path}/{name} /usr"
        for name in ("one", "two")
    )
    done = _inside(tmp_path, deep, "ls /usr/bin/env")
    assert done["stdout"] == "/usr/bin/env\n"
    assert done["report"]["mount-namespace"] == "partial"  # type: ignore[index]
